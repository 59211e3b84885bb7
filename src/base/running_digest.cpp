#include <postern/base/digest.hpp>

#include <openssl/evp.h>

#include <new>

namespace postern {

struct running_digest::state {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
};

void running_digest::free_state::operator()(state* s) const {
  EVP_MD_CTX_free(s->context);
  delete s;
}

running_digest::running_digest(kind which) : state_(new state) {
  if (!state_->context ||
      EVP_DigestInit_ex(state_->context, which == kind::md5 ? EVP_md5() : EVP_sha256(), nullptr) != 1)
    throw std::bad_alloc();
}

void running_digest::add(std::span<const char> piece) { EVP_DigestUpdate(state_->context, piece.data(), piece.size()); }

std::string running_digest::finish() {
  unsigned char bytes[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  EVP_DigestFinal_ex(state_->context, bytes, &size);
  return {reinterpret_cast<const char*>(bytes), size};
}

} // namespace postern
