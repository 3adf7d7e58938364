// What holds beside the rules: a ruleset that waits for its confirmation, the lock, the panic
// switch. All three are the data plane's; the control plane knows of them by its greeting and by
// the answers to what it orders.
#include <algorithm>
#include <utility>

#include "controlplane/ruleset/ruleset_difference.h"
#include "controlplane/service/controller.h"

namespace sluice::service {
namespace {

using std::chrono::milliseconds;

// Contents of tables, which no ruleset has: they may change while one waits for its confirmation.
bool changes_contents_alone(const Operation& operation) {
    using Verb = language::TableCommand::Verb;
    const auto* table = std::get_if<TableOperation>(&operation.what);
    if (table == nullptr)
        return false;
    const Verb verb = table->command.verb;
    return verb == Verb::add || verb == Verb::remove || verb == Verb::flush;
}

bool kills_states(const Operation& operation) {
    return std::holds_alternative<StateOperation>(operation.what);
}

bool clears_counters(const Operation& operation) {
    return std::holds_alternative<language::ZeroCommand>(operation.what);
}

bool is_order(const Operation& operation) {
    return std::holds_alternative<SafetyOperation>(operation.what);
}

std::string returned_sentence(std::uint64_t from, std::uint64_t to) {
    return "generation " + std::to_string(from) +
           " was not confirmed: sluice-dataplane has gone back to generation " + std::to_string(to);
}

}  // namespace

void Controller::take_condition(const contract::Hello& hello) {
    panic_ = hello.panic;
    locked_ = hello.locked != 0;
    slot_capacity_ = hello.slot_capacity;
    reverts_at_.reset();
    if (hello.confirm_ms != 0)
        reverts_at_ = EventLoop::Clock::now() + milliseconds(hello.confirm_ms);
    went_back_ = hello.returned_from != 0;
    if (went_back_)
        report_(returned_sentence(hello.returned_from, hello.generation));
}

Condition Controller::condition() const {
    Condition result{.panic = panic_, .locked = locked_};
    if (reverts_at_) {
        const auto left =
            std::chrono::ceil<milliseconds>(*reverts_at_ - EventLoop::Clock::now()).count();
        result.confirm_ms = static_cast<std::uint32_t>(std::max<std::int64_t>(left, 1));
    }
    return result;
}

// Why the request cannot be carried out as things are. The data plane would refuse most of this,
// too; only what it does not see, the baselines of counters, depends on this place.
std::optional<Error> Controller::forbidden(const Request& request) const {
    const auto changes = [&](auto... spared) {
        return request.apply ||
               std::any_of(request.operations.begin(), request.operations.end(),
                           [&](const Operation& operation) {
                               return changes_something(operation) && !(spared(operation) || ...);
                           });
    };
    if (locked_ && changes(kills_states, is_order))
        return Error{ExitStatus::unavailable,
                     "the firewall is locked: rules, tables, sysctls and counters stay as they are "
                     "until sluice-dataplane is restarted"};
    if (reverts_at_ && changes(kills_states, is_order, clears_counters, changes_contents_alone))
        return Error{ExitStatus::unavailable,
                     "generation " + std::to_string(generation_) +
                         " waits for its confirmation: `ipfw confirm` keeps it, `ipfw rollback` "
                         "goes back, and then there can be other changes"};
    return std::nullopt;
}

std::optional<Error> Controller::cannot_apply(const ApplyOrder& order,
                                              const ScriptOutcome& outcome) const {
    if (order.if_generation && *order.if_generation != generation_)
        return Error{ExitStatus::unavailable,
                     "generation " + std::to_string(generation_) + " runs, not generation " +
                         std::to_string(*order.if_generation) +
                         ": somebody else has changed the rules; nothing was changed"};
    if (order.confirm_s != 0 && outcome.tables.changes_something())
        return Error{ExitStatus::unavailable,
                     "the file makes or changes tables, and those do not return with the rules: "
                     "change them before, or leave out --confirm; nothing was changed"};
    if (order.confirm_s != 0 && order.states == KeptStates::judged_anew)
        return Error{ExitStatus::unavailable,
                     "--states recheck and --confirm do not go together: states that go on under "
                     "new rules would end when these go back; nothing was changed"};
    return std::nullopt;
}

ApplyReport Controller::report_of(const ruleset::Ruleset& next) const {
    const std::vector<ruleset::RulePointer> before = ruleset_.rules(), after = next.rules();
    return {.generation_before = generation_,
            .difference = ruleset::counts(
                ruleset::difference(ruleset::compared(before), ruleset::compared(after)))};
}

void Controller::give_order(Change next) {
    using Order = SafetyOperation::Order;
    contract::OrderKind kind = contract::OrderKind::panic;
    contract::Panic panic = contract::Panic::off;
    switch (std::get<SafetyOperation>(next.request.operations.front().what).order) {
        case Order::confirm:
            kind = contract::OrderKind::confirm;
            break;
        case Order::give_back:
            kind = contract::OrderKind::give_back;
            break;
        case Order::lock:
            kind = contract::OrderKind::lock;
            break;
        case Order::panic_deny:
            panic = contract::Panic::deny;
            break;
        case Order::panic_pass:
            panic = contract::Panic::pass;
            break;
        case Order::panic_off:
            break;
    }
    if (const Result<Done> sent = link_.order(kind, panic); !sent)
        return next.reply(refused(sent.error()));
    ordering_ = std::move(next);
}

void Controller::on_ordered(const Result<Done>& answer) {
    const Change done = std::move(*std::exchange(ordering_, std::nullopt));
    if (!answer) {
        done.reply(refused(answer.error()));
        return next_change();
    }
    using Order = SafetyOperation::Order;
    std::string sentence;
    const std::string generation = "generation " + std::to_string(generation_);
    switch (std::get<SafetyOperation>(done.request.operations.front().what).order) {
        case Order::confirm:
            reverts_at_.reset();
            predecessor_.reset();
            found_unconfirmed_ = false;
            ruleset_.published();
            author_ = unconfirmed_.value_or(done.author);
            author_.whole = true;
            keep_history();
            sentence = generation + " is confirmed";
            break;
        case Order::give_back:  // `Returned` came before this answer
            sentence = generation + " runs again";
            break;
        case Order::lock:
            locked_ = true;
            sentence = "locked: nothing can be changed until sluice-dataplane is restarted";
            break;
        case Order::panic_deny:
            panic_ = contract::Panic::deny;
            sentence = "panic: all IP is dropped";
            break;
        case Order::panic_pass:
            panic_ = contract::Panic::pass;
            sentence = "panic: all IP passes";
            break;
        case Order::panic_off:
            panic_ = contract::Panic::off;
            sentence = "the rules decide";
            break;
    }
    report_(sentence);
    OperationResult result;
    result.lines.push_back(sentence);
    done.reply(ready({std::move(result)}));
    next_change();
}

// The data plane was restarted before the ruleset was confirmed, and knows no predecessor any more.
void Controller::give_up_unconfirmed() {
    if (!predecessor_)
        return;
    ruleset::TableCatalogue tables = std::as_const(ruleset_).tables();
    ruleset_ = std::move(*std::exchange(predecessor_, std::nullopt));
    ruleset_.tables() = std::move(tables);
    report_("generation " + std::to_string(generation_) +
            " was not confirmed before sluice-dataplane was restarted: the rules before it are "
            "given to it");
}

// No offer is under way: while a ruleset waits for its confirmation none is made.
void Controller::on_returned(const contract::Returned& returned, int snapshot) {
    reverts_at_.reset();
    predecessor_.reset();
    found_unconfirmed_ = false;
    went_back_ = true;
    contract::Hello hello;
    hello.generation = returned.generation;
    hello.slot_capacity = slot_capacity_;
    drain_logs();
    ruleset::TableCatalogue tables = std::as_const(ruleset_).tables();
    report_(returned_sentence(returned.from, returned.generation));
    if (const Result<Done> adopted = adopt(hello, snapshot); !adopted) {
        foreign_ = adopted.error().message;
        return report_("that ruleset cannot be read (" + *foreign_ +
                       "): changes are refused; restart sluice-dataplane to begin anew");
    }
    ruleset_.tables() = std::move(tables);
    generation_ = returned.generation;
    keep_tables();
    take_cost(returned.cost);
}

}  // namespace sluice::service
