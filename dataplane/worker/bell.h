// How a worker, which makes no system calls while there is work, wakes a thread that may sleep.
//
// The thread says that it is about to sleep before it looks for the last time at what workers put
// down for it, and a worker looks whether it sleeps after it has put something down: so one of the
// two sees what the other did. Only the first who finds it asleep makes a system call.
//
// Threads: `wake` and `ring` belong to everybody, the rest to the thread that sleeps.
#pragma once

#include <atomic>
#include <memory>

#include "common/result.h"
#include "common/unique_fd.h"

namespace sluice::worker {

class Bell {
  public:
    static Result<Bell> create();

    // After something was put down for the thread.
    void wake() const;
    // Whether it sleeps or not.
    void ring() const;

    // Readable when it has rung.
    int descriptor() const { return descriptor_.get(); }
    // What was put down before a `wake` that does not ring is to be seen after this.
    void about_to_sleep();
    void awake();

  private:
    explicit Bell(UniqueFd descriptor);

    UniqueFd descriptor_;                        // an eventfd
    std::unique_ptr<std::atomic<bool>> sleeps_;  // stays where it is when the bell is moved
};

}  // namespace sluice::worker
