// What group_commit and readers know of a database: transactions, and why one fails.
#pragma once

#include <stdexcept>
#include <string>

namespace postern {

// Why a transaction failed, as far as the next step depends on it.
enum class transaction_failure {
  rejected,    // the database rejects one of the calls: the others are tried without it
  conflict,    // another writer holds a row or was faster: the same calls are tried again
  unavailable, // the database cannot be reached now
  broken,      // the database can be reached and cannot write: the disk is full
};

struct transaction_error : std::runtime_error {
  transaction_error(transaction_failure k, const std::string& what) : std::runtime_error(what), kind(k) {}
  transaction_failure kind;
};

// A connection that runs one transaction at a time. One thread uses it. If the connection was lost, begin() connects
// again. begin() and commit() throw transaction_error.
class transactions {
public:
  virtual ~transactions() = default;
  virtual void begin(bool writes) = 0;
  virtual void commit() = 0;
  virtual void roll_back() noexcept = 0;
};

} // namespace postern
