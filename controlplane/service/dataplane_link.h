// The connection to sluice-dataplane: connect, Hello, then requests: Offer, StatesRequest,
// KillStates.
//
// Either process may start first and either may be restarted: while there is no connection one is
// tried every 200 ms. Messages are those of dataplane/contract/message.h; anything that does not
// look like them closes the connection, with the reason in words. One request is outstanding at a
// time; if its answer does not come in time, and no word either that it is being worked on, the
// connection is closed too, because nobody knows then which ruleset runs, and the next Hello tells.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"
#include "controlplane/service/event_loop.h"
#include "controlplane/service/shared_memory.h"
#include "controlplane/service/table_work.h"
#include "dataplane/contract/message.h"

namespace sluice::service {

struct DataplaneGreeting {
    contract::Hello hello;
    std::vector<std::string> interface_names;
    SharedMemory memory;
    std::vector<contract::TableDescriptor> tables;
    UniqueFd snapshot;  // that is running; none if hello.generation is 0
};

// What the data plane says about a batch of changes to tables, in memory of ours; move-only.
class TableReply {
  public:
    // An error: the bytes are no answer to a batch of this many changes.
    static Result<TableReply> read(std::vector<std::byte> bytes, std::size_t changes);

    TableAnswer answer() const { return answer_; }
    std::span<const std::byte> bytes() const { return bytes_; }

  private:
    std::vector<std::byte> bytes_;
    TableAnswer answer_;
};

// The states that were asked for.
struct StatesAnswer {
    std::vector<contract::StateRecord> records;  // none, if only their number was asked for
    std::uint64_t count = 0;                     // without parents
};

struct TraceAnswer {
    contract::TraceVerdict verdict;
    std::vector<contract::TraceStep> steps;
};

// What is told of a pattern object: one number of hits for each pattern.
struct PatternAnswer {
    contract::PatternReport report;
    std::vector<std::uint64_t> hits;
};

struct WatchAnswer {
    std::uint64_t watch = 0;  // 0: it has ended
    UniqueFd rings;           // none then
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
        std::function<void(Result<StatesAnswer>)> states;
        // How many.
        std::function<void(Result<std::uint64_t>)> killed;
        // The sums over all states.
        std::function<void(Result<contract::RecheckReply>)> rechecked = {};
        std::function<void(Result<TableReply>)> tables;
        std::function<void(Result<Done>)> ordered = {};
        // Unasked: a ruleset was not confirmed, and the one before it runs.
        std::function<void(const contract::Returned&, UniqueFd snapshot)> returned = {};
        std::function<void(Result<TraceAnswer>)> traced = {};
        std::function<void(Result<WatchAnswer>)> watched = {};
        std::function<void(Result<PatternAnswer>)> patterns = {};
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
    // `with_tables`: what was prepared of tables takes effect with it.
    enum class Prepared : std::uint8_t { discard, commit };
    Result<Done> offer(std::span<const std::byte> image, std::uint64_t generation,
                       Prepared with_tables = Prepared::discard,
                       std::chrono::milliseconds revert_after = std::chrono::milliseconds(0));
    Result<Done> order(contract::OrderKind kind, contract::Panic panic = contract::Panic::off);
    // The data plane answers in pieces, which are put together. Behind `most_records` the rest is
    // left out.
    Result<Done> request_states(const contract::StateFilter& filter, contract::StatesWanted wanted,
                                std::size_t most_records);
    Result<Done> kill_states(const contract::StateFilter& filter);
    // Has all states judged anew, in pieces.
    Result<Done> recheck_states();
    // A batch of so many changes (dataplane/contract/table.h).
    Result<Done> change_tables(std::span<const std::byte> batch, std::size_t changes,
                               contract::TablesMode mode);

    Result<Done> request_trace(contract::TraceRequest request);
    Result<Done> watch(const contract::WatchOrder& order);
    // REQUIRES: the name is shorter than kPatternNameSize.
    Result<Done> request_patterns(std::string_view object);

    void set_answer_timeout(std::chrono::milliseconds timeout) { answer_timeout_ = timeout; }

  private:
    void try_connect();
    void retry();
    void readable();
    void receive_hello(std::span<const std::byte> message, std::vector<UniqueFd> descriptors);
    void receive_answer(std::span<const std::byte> message);
    void receive_states(std::span<const std::byte> message, std::vector<UniqueFd> descriptors);
    Result<Done> request_piece();
    void receive_killed(std::span<const std::byte> message);
    void receive_rechecked(std::span<const std::byte> message);
    Result<Done> recheck_piece(const contract::StatePosition& from);
    void receive_tables(std::span<const std::byte> message, std::vector<UniqueFd> descriptors);
    void receive_order_done(std::span<const std::byte> message);
    void receive_returned(std::span<const std::byte> message, std::vector<UniqueFd> descriptors);
    void receive_trace(std::span<const std::byte> message, std::vector<UniqueFd> descriptors);
    void receive_watch(std::span<const std::byte> message, std::vector<UniqueFd> descriptors);
    void receive_patterns(std::span<const std::byte> message, std::vector<UniqueFd> descriptors);
    void receive_working(std::span<const std::byte> message);
    void receive_rejected(std::span<const std::byte> message);
    void unexpected();
    void expect(contract::MessageType request);
    void wait_for_answer();
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
    contract::StatesRequest states_request_;            // if it asks for states
    std::size_t most_records_ = 0;
    StatesAnswer states_;               // what has come of the answer
    contract::RecheckReply rechecked_;  // likewise; `next` is where the last request began
    std::size_t changes_ = 0;           // if it is about tables: in the batch
    std::optional<EventLoop::TimerId> retry_timer_;
    std::optional<EventLoop::TimerId> answer_timer_;
};

}  // namespace sluice::service
