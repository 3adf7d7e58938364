#include "controlplane/service/history_keeper.h"

#include <sys/epoll.h>

#include <algorithm>
#include <limits>
#include <utility>

namespace sluice::service {
namespace {

using history::Entry;

// A disk that is slower than changes come loses some in the middle, never the last.
constexpr std::size_t kMostDue = 4;
constexpr std::chrono::seconds kTablesDelay{10};

}  // namespace

Result<std::unique_ptr<HistoryKeeper>> HistoryKeeper::open(EventLoop& loop,
                                                           std::unique_ptr<history::Folder> folder,
                                                           HistoryOptions options, Report report) {
    auto writer = history::Writer::start(*folder);
    if (!writer)
        return writer.error();
    return std::unique_ptr<HistoryKeeper>(
        new HistoryKeeper(loop, std::move(folder), std::move(*writer), options, std::move(report)));
}

HistoryKeeper::HistoryKeeper(EventLoop& loop, std::unique_ptr<history::Folder> folder,
                             std::unique_ptr<history::Writer> writer, HistoryOptions options,
                             Report report)
    : loop_(loop),
      folder_(std::move(folder)),
      options_(options),
      report_(std::move(report)),
      store_(std::make_unique<history::Store>(*folder_, report_)),
      writer_(std::move(writer)) {
    if (auto newest = newest_below(std::numeric_limits<std::uint64_t>::max())) {
        newest_text_ = std::move(newest->text);
        newest_policy_ = ruleset::policy_hash(newest_text_);
    }
    loop_.watch(writer_->descriptor(), EPOLLIN, [this](std::uint32_t) {
        if (const auto outcome = writer_->take())
            took(*outcome);
    });
}

HistoryKeeper::~HistoryKeeper() {
    loop_.forget(writer_->descriptor());
    loop_.cancel(timer_);
}

void HistoryKeeper::set_timer(EventLoop::Clock::duration delay) {
    loop_.cancel(timer_);
    timer_ = loop_.after(delay, [this] { ripen(); });
}

void HistoryKeeper::ripen() {
    if (!due_.empty())
        due_.back().ripe = true;
    advance();
}

void HistoryKeeper::record(const ruleset::Ruleset& rules, std::uint64_t generation,
                           const Author& author) {
    gather({.rules = rules,
            .generation = generation,
            .time_s = options_.clock_s(),
            .author = author,
            .further = 0,
            .ripe = author.whole});
}

void HistoryKeeper::tables_changed(const ruleset::Ruleset& rules, std::uint64_t generation) {
    if (!due_.empty() && !(writing_ && due_.size() == 1)) {  // what is written then has the change
        due_.back().rules = rules;
        return;
    }
    const auto newest = store_->newest();
    due_.push_back({.rules = rules,
                    .generation = generation,
                    .time_s = options_.clock_s(),
                    .author = newest ? Author{} : Author{.user = "sluice", .did = "tables"},
                    .further = 0,
                    .ripe = false});
    set_timer(kTablesDelay);
}

void HistoryKeeper::gather(Due due) {
    const bool waits = !due_.empty() && !(writing_ && due_.size() == 1);
    if (waits && !due_.back().ripe && !due.ripe && due_.back().author.uid == due.author.uid) {
        // What only changed tables so far has no author.
        const bool first = due_.back().author.did.empty();
        due.further = first ? 0 : due_.back().further + 1;
        if (!first)
            due.author = due_.back().author;
        else
            row_began_ = EventLoop::Clock::now();
        due_.back() = std::move(due);
    } else {
        if (waits)
            due_.back().ripe = true;
        row_began_ = EventLoop::Clock::now();
        due_.push_back(std::move(due));
        if (due_.size() > kMostDue)
            due_.erase(due_.begin() + (writing_ ? 1 : 0));
    }
    const auto left = row_began_ + options_.longest - EventLoop::Clock::now();
    if (left <= EventLoop::Clock::duration(0))  // a timer would be set anew by the next command
        return ripen();
    set_timer(std::min<EventLoop::Clock::duration>(left, options_.quiet));
    advance();
}

void HistoryKeeper::finish(Callback callback) {
    callbacks_.push_back(std::move(callback));
    ripen();
}

// Goes on with what can be gone on with.
void HistoryKeeper::advance() {
    if (writing_)
        return;
    if (due_.empty())
        return settle(Done{});
    if (!due_.front().ripe && callbacks_.empty())
        return;
    if (due_.front().rules.tables().all().empty())
        return begin({});
    if (const auto entries = entries_())
        begin(*entries);
}

// None: the newest entry says all of it already.
std::optional<history::Write> HistoryKeeper::write_for(const Due& due, std::string text) const {
    const std::optional<Entry> newest = store_->newest();
    const bool same = newest && ruleset::policy_hash(text) == newest_policy_;
    if (same && newest->generation == due.generation && text == newest_text_)
        return std::nullopt;
    Entry entry;
    if (same)
        entry = *newest;
    entry.generation = due.generation;
    if (!same) {
        entry.number = store_->next_number();
        entry.uid = due.author.uid;
        entry.user = due.author.user;
        entry.did = due.author.did;
        if (due.further != 0)
            entry.did += " and " + std::to_string(due.further) + " more";
        entry.restores = due.author.restores;
    }
    if (!same)
        entry.time_s = due.time_s;
    entry.written_s = options_.clock_s();
    return store_->plan(std::move(entry), std::move(text));
}

void HistoryKeeper::begin(const ruleset::EntryWriter& entries) {
    const Due& due = due_.front();
    auto write = write_for(due, ruleset::ruleset_text(due.rules, entries));
    if (!write) {
        due_.pop_front();
        return advance();
    }
    const auto newest = store_->newest();
    std::optional<std::string> before;
    if (!newest || newest->number != write->entry.number)
        before = newest_text_;
    writing_ = true;
    writer_->begin({std::move(*write), std::move(before)});
}

void HistoryKeeper::took(const history::Outcome& outcome) {
    writing_ = false;
    if (outcome.done) {
        if (std::exchange(failing_, false))
            report_("rulesets are written to " + folder_->path() + " again");
        store_->written(outcome.write);
        newest_text_ = outcome.write.text;
        newest_policy_ = ruleset::policy_hash(newest_text_);
        due_.pop_front();
        return advance();
    }
    if (options_.failures != nullptr)
        options_.failures->add(1);
    if (!std::exchange(failing_, true))
        report_(outcome.done.error().message +
                ": the ruleset runs, but it is not in the history, and after a restart of both "
                "daemons the one before it would run. It is tried again every minute");
    // Only the last one counts for the next attempt.
    due_.erase(due_.begin(), due_.end() - 1);
    set_timer(options_.again);
    settle(outcome.done);
}

void HistoryKeeper::settle(const Result<Done>& done) {
    for (const Callback& callback : std::exchange(callbacks_, {}))
        callback(done);
}

bool HistoryKeeper::newest_has_policy_of(const ruleset::Ruleset& rules) const {
    return store_->newest() && ruleset::policy_hash(ruleset::ruleset_text(rules)) == newest_policy_;
}

std::optional<std::uint64_t> HistoryKeeper::one_back(const ruleset::Ruleset& rules) const {
    const auto newest = store_->newest();
    if (!newest)
        return std::nullopt;
    if (!newest_has_policy_of(rules))
        return newest->number;
    // Who goes back again goes further back.
    const std::uint64_t runs = newest->restores != 0 ? newest->restores : newest->number;
    std::optional<std::uint64_t> result;
    for (const Entry& entry : store_->entries())
        if (entry.number < runs)
            result = entry.number;
    return result;
}

std::uint64_t HistoryKeeper::newest_generation() const {
    std::uint64_t generation = 0;
    for (const Entry& entry : store_->entries())
        generation = std::max(generation, entry.generation);
    return generation;
}

}  // namespace sluice::service
