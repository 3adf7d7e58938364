// Writes files of the history in a thread of its own: a disk may let us wait for seconds.
//
// Threads. One caller; it gives one write at a time, and is told by a descriptor that it is done.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "common/unique_fd.h"
#include "controlplane/history/store.h"

namespace sluice::history {

// `write`, and what it is compared with to say how many rules it adds, removes and changes.
struct Job {
    Write write;
    std::optional<std::string> before;
};

struct Outcome {
    Write write;  // with its difference
    Result<Done> done = Done{};
};

class Writer {
  public:
    // The folder outlives it, and is used by nobody else to write.
    static Result<std::unique_ptr<Writer>> start(Folder& folder);
    // Finishes what was begun.
    ~Writer();
    Writer(const Writer&) = delete;
    Writer& operator=(const Writer&) = delete;

    // REQUIRES: the one before has been taken.
    void begin(Job job);
    // Readable when there is something to take.
    int descriptor() const { return done_.get(); }
    std::optional<Outcome> take();
    // Waits for what was begun.
    void wait();

  private:
    Writer(Folder& folder, UniqueFd done);
    void run();

    Folder& folder_;
    UniqueFd done_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::optional<Job> job_;
    std::optional<Outcome> outcome_;
    bool working_ = false;
    bool ends_ = false;
    std::thread thread_;
};

}  // namespace sluice::history
