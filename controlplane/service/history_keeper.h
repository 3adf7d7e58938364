// Keeps what was accepted: each ruleset becomes a file of the history (history/store.h), and the
// newest file is what a data plane that has no ruleset gets.
//
// When. A rule file is written as soon as it runs. Single commands are gathered: what somebody does
// in a quick row, as a script does, is one entry, written when nothing more came for a second, ten
// seconds behind the first at the latest. Otherwise fifty lines of a script would push out all that
// is worth going back to, and a disk would have to keep up with each. A ruleset with the policy of
// the newest entry (another generation, other entries in tables) replaces that entry.
// Cost. A change itself costs a copy of a ruleset, 256 pointers. The event loop makes the text,
// once a row; of 100,000 rules, 5 MB, that is 15 ms. A thread compares it with the one before,
// makes its checksum and writes it, another 40 ms and the disk. Failure. What cannot be written is
// tried again, once a minute or with the next change; a sentence says so, once, and the metrics
// count. Filtering and changes go on.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "controlplane/history/writer.h"
#include "controlplane/metrics/tally.h"
#include "controlplane/ruleset/ruleset.h"
#include "controlplane/ruleset/ruleset_text.h"
#include "controlplane/service/event_loop.h"

namespace sluice::service {

// Who made a ruleset, and how.
struct Author {
    std::uint32_t uid = 0;
    std::string user = {};
    std::string did = {};
    bool whole = false;          // a rule file, or one of the history
    std::uint64_t restores = 0;  // its number
};

struct HistoryOptions {
    std::chrono::milliseconds quiet{1'000};     // behind the last command of a row
    std::chrono::milliseconds longest{10'000};  // behind the first
    std::chrono::milliseconds again{60'000};    // behind a failure
    std::uint64_t (*clock_s)() = nullptr;       // since 1970
    metrics::Count* failures = nullptr;         // outlives the keeper; none: nobody counts
};

class HistoryKeeper {
  public:
    using Report = std::function<void(const std::string& sentence)>;
    using Callback = std::function<void(Result<Done>)>;
    // What the tables hold, for the text. None: that has been asked for, and `advance` will be
    // called when it is known.
    using Entries = std::function<std::optional<ruleset::EntryWriter>()>;

    static Result<std::unique_ptr<HistoryKeeper>> open(EventLoop& loop,
                                                       std::unique_ptr<history::Folder> folder,
                                                       HistoryOptions options, Report report);
    // What is due and has not been written is lost: see `finish`.
    ~HistoryKeeper();
    HistoryKeeper(const HistoryKeeper&) = delete;
    HistoryKeeper& operator=(const HistoryKeeper&) = delete;

    void set_entries(Entries entries) { entries_ = std::move(entries); }

    // The ruleset was accepted.
    void record(const ruleset::Ruleset& rules, std::uint64_t generation, const Author& author);
    // The same ruleset, but something about tables is different.
    void tables_changed(const ruleset::Ruleset& rules, std::uint64_t generation);
    // Writes what is due without waiting for more, and says what came of it.
    void finish(Callback callback);
    void advance();

    const history::Store& store() const { return *store_; }
    Result<history::Stored> read(std::uint64_t number) { return store_->read(number); }
    std::optional<history::Stored> newest_below(std::uint64_t number) {
        return store_->newest_below(number);
    }
    // Whether the newest entry has this policy.
    bool newest_has_policy_of(const ruleset::Ruleset& rules) const;
    // What `rollback` without a number means while these rules run. None: there is no earlier one.
    std::optional<std::uint64_t> one_back(const ruleset::Ruleset& rules) const;
    std::uint64_t newest_generation() const;

  private:
    struct Due {
        ruleset::Ruleset rules;
        std::uint64_t generation = 0;
        std::uint64_t time_s = 0;
        Author author;
        unsigned further = 0;  // commands in the row
        bool ripe = false;     // it waits for no more commands
    };

    HistoryKeeper(EventLoop& loop, std::unique_ptr<history::Folder> folder,
                  std::unique_ptr<history::Writer> writer, HistoryOptions options, Report report);
    void gather(Due due);
    void ripen();
    void set_timer(EventLoop::Clock::duration delay);
    void begin(const ruleset::EntryWriter& entries);
    void took(const history::Outcome& outcome);
    void settle(const Result<Done>& done);
    std::optional<history::Write> write_for(const Due& due, std::string text) const;

    EventLoop& loop_;
    std::unique_ptr<history::Folder> folder_;
    HistoryOptions options_;
    Report report_;
    Entries entries_;
    std::unique_ptr<history::Store> store_;
    std::string newest_text_;  // of the newest entry
    std::uint64_t newest_policy_ = 0;
    std::deque<Due> due_;  // in order; the last one may still be gathering
    EventLoop::Clock::time_point row_began_;
    EventLoop::TimerId timer_ = 0;
    bool writing_ = false;  // the first of due_
    bool failing_ = false;
    std::vector<Callback> callbacks_;
    std::unique_ptr<history::Writer> writer_;  // ends first
};

}  // namespace sluice::service
