// Compiles databases of patterns in a thread of its own: that may take a minute, in which the log
// is written, metrics are told, and rulesets that have none of these patterns are listed.
//
// Threads. One caller; it gives one list of orders at a time, and is told by a descriptor that they
// are done.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"
#include "controlplane/patterns/database.h"

namespace sluice::service {

class DatabaseMaker {
  public:
    using Made = Result<std::shared_ptr<const patterns::Database>, patterns::DatabaseError>;

    static Result<std::unique_ptr<DatabaseMaker>> start();
    // Waits for what was begun.
    ~DatabaseMaker();
    DatabaseMaker(const DatabaseMaker&) = delete;
    DatabaseMaker& operator=(const DatabaseMaker&) = delete;

    // REQUIRES: those before have been taken.
    void begin(std::vector<patterns::DatabaseOrder> orders);
    // Readable when there is something to take.
    int descriptor() const { return done_.get(); }
    // What became of each, in their order. Nothing: they are not done.
    std::optional<std::vector<Made>> take();

  private:
    explicit DatabaseMaker(UniqueFd done);
    void run();

    UniqueFd done_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::optional<std::vector<patterns::DatabaseOrder>> orders_;
    std::optional<std::vector<Made>> made_;
    bool ends_ = false;
    std::thread thread_;
};

}  // namespace sluice::service
