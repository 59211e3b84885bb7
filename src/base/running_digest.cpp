#include <postern/base/digest.hpp>

#include <isa-l/crc.h>
#include <openssl/evp.h>

#include <new>

namespace postern {

struct running_digest::state {
  kind which;
  EVP_MD_CTX* context = nullptr; // of a digest
  std::uint32_t crc = 0;
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
  case running_digest::kind::crc32c: break;
  }
  return nullptr;
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
  else if (state_->which == kind::crc32c)
    state_->crc = crc32c(state_->crc, piece);
  else // as gzip and zlib have it (RFC 1952 §8)
    state_->crc = crc32_gzip_refl(state_->crc, reinterpret_cast<const unsigned char*>(piece.data()), piece.size());
}

std::string running_digest::finish() {
  if (!state_->context) {
    const auto n = state_->crc;
    return {static_cast<char>(n >> 24), static_cast<char>(n >> 16), static_cast<char>(n >> 8), static_cast<char>(n)};
  }
  unsigned char bytes[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  EVP_DigestFinal_ex(state_->context, bytes, &size);
  return {reinterpret_cast<const char*>(bytes), size};
}

} // namespace postern
