// The data plane's end of the contract socket (dataplane/contract/message.h).
//
// Listens on a SOCK_SEQPACKET socket of mode 0660; lets in one control plane at a time, and only
// root's or one of the data plane's own user. Keeps the sealed image of the running ruleset, so
// that a control plane that comes back can read it.
//
// A ruleset that was offered for a time keeps its predecessor's image as well; when the time is
// over and nobody has confirmed, the predecessor runs again. That needs no control plane. If a
// worker does not take it over in time, it is tried again in the next turn.
//
// Lock. A latch, one-way as long as the process lives. What would change rules or tables is refused
// here, where no control plane can undo it.
//
// Threads: the main thread. Nothing blocks: a control plane that does not read its answers is
// disconnected, and traffic does not notice.
#pragma once

#include <sys/types.h>

#include <array>
#include <chrono>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/local_listener.h"
#include "common/result.h"
#include "common/unique_fd.h"
#include "dataplane/app/states_piece.h"
#include "dataplane/app/tracing.h"
#include "dataplane/contract/message.h"
#include "dataplane/contract/table.h"

namespace sluice::dataplane {

class ContractServer {
  public:
    struct Callbacks {
        // Everything of Hello but the header, the generation and its cost.
        std::function<contract::Hello()> describe;
        // Makes the workers run the image, and what was prepared of tables take effect or not;
        // says what the image costs. An error means that nothing has changed.
        enum class Prepared : std::uint8_t { discard, commit };
        std::function<Result<contract::RulesetCost>(std::span<const std::byte> image,
                                                    Prepared tables)>
            publish;
        // A piece of the states that are asked for.
        std::function<StatesPiece(const contract::StatesRequest&)> list_states;
        // Kills them and returns how many they were.
        std::function<Result<std::uint64_t>(const contract::StateFilter&)> kill_states;
        std::function<Result<contract::RecheckReply>(const contract::RecheckStates&)>
            recheck_states = {};
        // Carries a batch of changes to tables out and returns the answer as bytes. It calls
        // `working` now and then while it does.
        std::function<Result<std::vector<std::byte>>(std::span<const std::byte> batch,
                                                     contract::TablesMode mode,
                                                     const std::function<void()>& working)>
            change_tables;
        std::function<std::vector<contract::TableDescriptor>()> list_tables;
        std::function<Result<Done>(contract::Panic)> set_panic = {};
        std::function<Result<TraceAnswer>(const contract::TraceRequest&)> trace = {};
        // PatternReport and a number for each pattern of the object, as bytes.
        std::function<Result<std::vector<std::byte>>(std::string_view name)> report_pattern = {};
        // Begins or ends it; the number of the watch, or 0, and the file with the rings.
        struct Watch {
            std::uint64_t number = 0;
            int rings = -1;
        };
        std::function<Result<Watch>(const contract::WatchOrder&)> watch = {};
    };

    // The descriptors belong to somebody else and stay open as long as the server lives.
    struct Descriptors {
        int counters = -1;
        int log_rings = -1;
        int annotations = -1;
    };

    static Result<ContractServer> listen(const std::string& path, const Descriptors& descriptors,
                                         Callbacks callbacks);
    ContractServer(ContractServer&&) = default;
    ContractServer& operator=(ContractServer&&) = delete;

    // To be watched for reading. No client: -1.
    int listener() const { return listener_.descriptor(); }
    int client() const { return client_.get(); }

    // Call when there is something to read.
    void on_listener();
    void on_client();

    // Now and then: goes back to the predecessor if it is time.
    void tend();

    std::uint64_t generation() const { return running_.generation; }

  private:
    ContractServer(LocalListener listener, const Descriptors& descriptors, Callbacks callbacks);

    void greet();
    // These send; false: the client does not take it.
    Result<Done> take(const contract::Offer& offer, UniqueFd image);
    bool answer(const contract::Offer& offer, UniqueFd image);
    bool answer(const contract::StatesRequest& request);
    bool answer(const contract::KillStates& order);
    bool answer(const contract::RecheckStates& request);
    bool answer(const contract::TraceRequest& request);
    bool answer(const contract::WatchOrder& order);
    bool answer(const contract::PatternRequest& request);
    void end_watch();
    bool answer(const contract::TablesRequest& request, UniqueFd batch);
    Result<std::vector<std::byte>> carry_out(const contract::TablesRequest& request,
                                             UniqueFd batch);
    void say_working();
    bool answer(const contract::Order& order);
    Result<Done> carry_out(const contract::Order& order);
    Result<Done> give_back();
    void tell_returned(std::uint64_t from);
    bool refuse(std::uint64_t generation, const Error& error);

    LocalListener listener_;
    UniqueFd client_;
    int client_process_ = 0;
    Descriptors descriptors_;
    Callbacks callbacks_;
    std::chrono::steady_clock::time_point spoke_;  // while a batch is carried out
    struct Ruleset {
        UniqueFd image;
        std::uint64_t generation = 0;
        contract::RulesetCost cost;
    };
    Ruleset running_;  // generation 0: none
    // What it goes back to, and when.
    struct Predecessor {
        Ruleset ruleset;
        std::chrono::steady_clock::time_point due;
    };
    std::optional<Predecessor> predecessor_;
    std::uint64_t highest_generation_ = 0;
    std::uint64_t returned_from_ = 0;
    std::uint32_t next_rule_id_ = 0;
    contract::Panic panic_ = contract::Panic::off;
    bool locked_ = false;
    bool watches_ = false;
    bool reported_late_ = false;  // the return that a worker holds up
};

}  // namespace sluice::dataplane
