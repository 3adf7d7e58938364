// The other end of the contract, for tests: listens like sluice-dataplane, greets with real shared
// memory, checks seals and image of each offer, and accepts it. Packets are "counted" and "logged"
// by calls, and states are what the test puts into `states`. Runs on the event loop of the test.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/unique_fd.h"
#include "controlplane/service/event_loop.h"
#include "dataplane/contract/annotations.h"
#include "dataplane/contract/counters.h"
#include "dataplane/contract/log_ring.h"
#include "dataplane/contract/message.h"
#include "dataplane/contract/snapshot_view.h"
#include "dataplane/table/table_store.h"

namespace sluice::service {

class FakeDataplane {
  public:
    struct Behaviour {
        std::uint32_t workers = 2;
        std::uint32_t slot_capacity = 1024;
        std::uint32_t log_ring_capacity = 64;
        bool silent = false;      // takes offers and never answers
        std::string reject_with;  // not empty: every offer is refused with this
        bool hang_up_on_offer = false;
        std::uint32_t state_capacity = 131072;
        std::uint32_t state_buckets = 32768;
        bool hang_up_on_states = false;  // whatever is asked about states
        std::string refuse_states_with;  // not empty: so is that, in these words
        bool short_states = false;       // promises one more than it sends
        std::uint32_t states_at_once = 100;
        contract::RecheckReply judged;  // of each piece of states that are judged anew …
        unsigned judged_pieces = 1;     // … and how many pieces there are
        bool stuck_states = false;      // the next piece begins where this one did
        bool hang_up_on_tables = false;
        unsigned working = 0;  // words that it works on a batch, 20 ms apart, before the answer
        std::string refuse_tables_with;
        bool short_patterns = false;  // promises one more than it tells
        contract::RulesetCost cost;   // of whatever it runs
    };

    FakeDataplane(EventLoop& loop, std::string path) : FakeDataplane(loop, path, Behaviour()) {}
    FakeDataplane(EventLoop& loop, std::string path, Behaviour behaviour);
    ~FakeDataplane();
    FakeDataplane(const FakeDataplane&) = delete;
    FakeDataplane& operator=(const FakeDataplane&) = delete;

    Behaviour behaviour;

    std::uint64_t generation() const { return generation_; }
    std::size_t offers() const { return offers_; }
    bool connected() const { return static_cast<bool>(peer_); }
    // The rules of the running snapshot as text with number, without the default rule.
    std::vector<std::string> rules() const;
    const contract::SnapshotView& snapshot() const { return *view_; }
    // Slot of the first rule with this number in the running snapshot.
    std::uint32_t slot_of(std::uint16_t number) const;

    void count(std::uint32_t worker, std::uint32_t slot, std::uint64_t packets, std::uint64_t bytes,
               std::uint64_t time_s);
    bool log(std::uint32_t worker, const contract::LogRecord& record);
    contract::SlotAnnotation& annotation(std::uint32_t slot) { return annotations_[slot]; }

    // Picked by rule number alone, which is enough to see that a filter arrives.
    std::vector<contract::StateRecord> states;
    // A state of the rule with this number in the running snapshot, live or not.
    contract::StateRecord state_of(std::uint16_t number) const;
    // Of the gauges of a worker: its states and parents, and those of a slot.
    void set_state_counts(std::uint32_t worker, std::uint64_t count, std::uint64_t parents);
    void set_states_of(std::uint32_t worker, std::uint32_t slot, std::uint64_t count);
    // The last filter that was sent, and how many requests for states there were.
    const contract::StateFilter& filter() const { return filter_; }
    std::size_t state_requests() const { return state_requests_; }

    // The tables are real.
    table::Store tables{{.interfaces = {"em0", "em1"}}};
    std::size_t table_requests() const { return table_requests_; }

    // Hangs up without forgetting the snapshot.
    void disconnect();

  private:
    void greet();
    void readable();
    void take_offer(const contract::Offer& offer, UniqueFd file);
    void refuse(std::uint64_t generation, const std::string& reason);
    bool answers_about_states(const contract::StateFilter& filter);
    void tell_states(const contract::StatesRequest& request);
    void kill_states(const contract::StateFilter& filter);
    void recheck_states(const contract::RecheckStates& request);
    // The pattern in place N, from 0 on, was found N + 1 times.
    void tell_patterns(const contract::PatternRequest& request);
    void change_tables(const contract::TablesRequest& request, const UniqueFd& file);
    void work(const contract::TablesRequest& request, std::shared_ptr<UniqueFd> file,
              unsigned words);
    std::byte* worker_block(std::uint32_t worker) const;
    template <typename Message>
    void send(Message message, const std::vector<int>& descriptors);

    EventLoop& loop_;
    std::string path_;
    UniqueFd listener_, peer_;
    UniqueFd counters_fd_, rings_fd_, annotations_fd_, snapshot_fd_;
    std::byte* counters_ = nullptr;
    std::size_t counters_size_ = 0;
    contract::SlotAnnotation* annotations_ = nullptr;
    std::vector<contract::LogRing> rings_;
    std::byte* rings_memory_ = nullptr;
    std::uint64_t boot_id_;
    std::uint64_t generation_ = 0;
    std::size_t offers_ = 0;
    contract::StateFilter filter_;
    std::size_t state_requests_ = 0;
    std::size_t table_requests_ = 0;
    void* image_ = nullptr;
    std::size_t image_size_ = 0;
    std::unique_ptr<contract::SnapshotView> view_;
};

}  // namespace sluice::service
