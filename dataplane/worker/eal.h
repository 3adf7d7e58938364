// The environment layer of DPDK: started once, cleaned up when its owner goes.
//
// A process can start it once only, also when the first start failed. What DPDK has to say goes
// through a sink of ours. DPDK's error codes alone rarely tell an operator what is wrong, and its
// messages are many: the sink keeps the first of them, which names the cause, for our own sentence,
// and prints them only when it has been told to.
#pragma once

#include <string>
#include <vector>

#include "common/result.h"

namespace sluice::worker {

class Eal {
  public:
    // `arguments` without the program's name.
    static Result<Eal> start(const std::vector<std::string>& arguments);

    Eal(Eal&& other) noexcept;
    Eal& operator=(Eal&&) = delete;
    ~Eal();

  private:
    Eal() = default;
    bool running_ = true;
};

const char* dpdk_version();

// The first line that DPDK logged since the last call; empty if there is none.
std::string take_dpdk_message();

// Whether lines go to standard error, each with a prefix. At first they do not.
void print_dpdk_messages(bool print);

}  // namespace sluice::worker
