// The connection to sluice-dataplane: connect, Hello, then requests: Offer, StatesRequest,
// KillStates.
//
// Either process may start first and either may be restarted: while there is no connection one is
// tried every 200 ms. Messages are those of dataplane/contract/message.h; anything that does not
// look like them closes the connection, with the reason in words. One request is outstanding at a
// time; if its answer does not come in time the connection is closed too, because nobody knows then
// which ruleset runs, and the next Hello tells.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"
#include "controlplane/service/event_loop.h"
#include "controlplane/service/shared_memory.h"
#include "dataplane/contract/message.h"

namespace sluice::service {

struct DataplaneGreeting {
    contract::Hello hello;
    std::vector<std::string> interface_names;
    SharedMemory memory;
    UniqueFd snapshot;  // that is running; none if hello.generation is 0
};

// The states that were asked for, in memory that the data plane made; move-only.
class StateRecords {
  public:
    StateRecords() = default;
    StateRecords(Mapping memory, std::size_t count) : memory_(std::move(memory)), count_(count) {}

    // Read each one once: nothing keeps the data plane from writing there.
    std::span<const contract::StateRecord> records() const {
        return {reinterpret_cast<const contract::StateRecord*>(memory_.data()), count_};
    }

  private:
    Mapping memory_;
    std::size_t count_ = 0;
};

class DataplaneLink {
  public:
    // One of the last three is called for each request; none if it dies with the connection.
    struct Callbacks {
        std::function<void(DataplaneGreeting)> up;
        // After `up`, once; and while it has not come up, when the reason is another than before.
        std::function<void(const std::string& reason, bool was_up)> down;
        // The generation and its cost, or why the offer was refused.
        std::function<void(Result<contract::Accepted>)> answered;
        std::function<void(Result<StateRecords>)> states;
        // How many.
        std::function<void(Result<std::uint64_t>)> killed;
    };

    DataplaneLink(EventLoop& loop, std::string path, Callbacks callbacks);
    ~DataplaneLink();
    DataplaneLink(const DataplaneLink&) = delete;
    DataplaneLink& operator=(const DataplaneLink&) = delete;

    // Begins to connect.
    void start();

    bool up() const { return up_; }

    // Requests. REQUIRES: up, and none is outstanding.
    // Hands an image over.
    Result<Done> offer(std::span<const std::byte> image, std::uint64_t generation);
    Result<Done> request_states(const contract::StateFilter& filter);
    Result<Done> kill_states(const contract::StateFilter& filter);

    void set_answer_timeout(std::chrono::milliseconds timeout) { answer_timeout_ = timeout; }

  private:
    void try_connect();
    void retry();
    void readable();
    void receive_hello(std::span<const std::byte> message, std::vector<UniqueFd> descriptors);
    void receive_answer(std::span<const std::byte> message);
    void receive_states(std::span<const std::byte> message, std::vector<UniqueFd> descriptors);
    void receive_killed(std::span<const std::byte> message);
    void receive_rejected(std::span<const std::byte> message);
    void unexpected();
    void expect(contract::MessageType request);
    bool take_expectation(contract::MessageType request);
    void close(const std::string& reason);

    EventLoop& loop_;
    std::string path_;
    Callbacks callbacks_;
    std::chrono::milliseconds answer_timeout_{10'000};
    UniqueFd socket_;
    bool up_ = false;
    std::string last_reason_;
    std::optional<contract::MessageType> outstanding_;  // what was asked
    std::uint64_t offered_ = 0;                         // if it is an offer: its generation
    std::optional<EventLoop::TimerId> retry_timer_;
    std::optional<EventLoop::TimerId> answer_timer_;
};

}  // namespace sluice::service
