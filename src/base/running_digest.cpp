#include <postern/base/digest.hpp>

#include <isa-l/crc.h>
#include <openssl/evp.h>

#include <new>

namespace postern {

struct running_digest::state {
  kind which;
  EVP_MD_CTX* context = nullptr; // of a digest
  std::uint64_t crc = 0;         // of a CRC; 32 bits of it, or all
};

void running_digest::free_state::operator()(state* s) const {
  EVP_MD_CTX_free(s->context);
  delete s;
}

namespace {

const EVP_MD* algorithm(running_digest::kind which) {
  switch (which) {
  case running_digest::kind::md5: return EVP_md5();
  case running_digest::kind::sha1: return EVP_sha1();
  case running_digest::kind::sha256: return EVP_sha256();
  case running_digest::kind::crc32:
  case running_digest::kind::crc32c:
  case running_digest::kind::crc64nvme: break;
  }
  return nullptr;
}

std::uint64_t continue_crc(running_digest::kind which, std::uint64_t so_far, std::span<const char> piece) {
  if (which == running_digest::kind::crc64nvme) return crc64nvme(so_far, piece);
  const auto half = static_cast<std::uint32_t>(so_far);
  if (which == running_digest::kind::crc32c) return crc32c(half, piece);
  // as gzip and zlib have it (RFC 1952 §8)
  return crc32_gzip_refl(half, reinterpret_cast<const unsigned char*>(piece.data()), piece.size());
}

} // namespace

running_digest::running_digest(kind which) : state_(new state{which}) {
  const auto* how = algorithm(which);
  if (!how) return;
  state_->context = EVP_MD_CTX_new();
  if (!state_->context || EVP_DigestInit_ex(state_->context, how, nullptr) != 1) throw std::bad_alloc();
}

void running_digest::add(std::span<const char> piece) {
  if (state_->context)
    EVP_DigestUpdate(state_->context, piece.data(), piece.size());
  else
    state_->crc = continue_crc(state_->which, state_->crc, piece);
}

std::string running_digest::finish() {
  if (!state_->context) {
    std::string out(state_->which == kind::crc64nvme ? 8 : 4, '\0');
    for (auto at = out.rbegin(); at != out.rend(); ++at, state_->crc >>= 8) *at = static_cast<char>(state_->crc);
    return out;
  }
  unsigned char bytes[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  EVP_DigestFinal_ex(state_->context, bytes, &size);
  return {reinterpret_cast<const char*>(bytes), size};
}

} // namespace postern
