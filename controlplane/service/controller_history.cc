// What was accepted, and what comes back: the first ruleset of a data plane that has none, what the
// history says about one that has, and the requests of `ipfw history`, `rollback` and `save`.
//
// Entries of tables are the data plane's: before a text is made it is asked for them, as soon as it
// has nothing else to do. If there are very many the text goes without.
#include <algorithm>
#include <memory>
#include <utility>

#include "controlplane/service/controller.h"
#include "controlplane/service/restoring_request.h"

namespace sluice::service {
namespace {

// More entries than that, of all tables together, are not kept. Making their lines takes some 30
// ms.
constexpr std::size_t kMostEntries = 100'000;

std::string name_of(const history::Entry& entry) {
    return "ruleset " + std::to_string(entry.number) + " of the history (generation " +
           std::to_string(entry.generation) + ")";
}

Error no_history() {
    return {ExitStatus::unavailable,
            "there is no history: state_directory in [control] of sluice.toml is empty"};
}

std::vector<std::string> lines_of(std::string_view text) {
    std::vector<std::string> lines;
    ruleset::each_line(text, [&](std::string_view line) { lines.emplace_back(line); });
    return lines;
}

}  // namespace

// ---- The first ruleset --------------------------------------------------------------------------

// Gives the data plane the newest ruleset that it takes. REQUIRES: boots_below_ is not 0.
void Controller::boot() {
    while (auto stored = history_->newest_below(boots_below_)) {
        boots_below_ = stored->entry.number;
        const std::uint64_t now = clock_s_();
        const Result<Request> request = restoring_request(
            stored->text, now - std::min(now, stored->entry.written_s), ruleset_.tables(), {});
        if (!request) {
            report_(name_of(stored->entry) + " cannot be read: " + request.error().message);
            continue;
        }
        ruleset::each_line(stored->text, [this](std::string_view line) {
            if (line.starts_with('#'))
                report_("the history says" + std::string(line.substr(1)));
        });
        author_ = {.user = "sluice", .did = "boot", .whole = true};
        return change(
            *request,
            [this, entry = stored->entry](const Response& response) { booted(entry, response); },
            {});
    }
    boots_below_ = 0;
    greeted_ = true;
    report_("there is no ruleset in the history: the default rule alone decides");
    push();
    author_.did = "start, with the default rule alone";
}

void Controller::booted(const history::Entry& entry, const Response& response) {
    if (response.status == ExitStatus::ok) {
        boots_below_ = 0;
        greeted_ = true;
        report_(name_of(entry) + ", by " + entry.user +
                ", has been given to sluice-dataplane as generation " +
                std::to_string(generation_));
        return report_small_table();
    }
    if (!link_.up())  // it begins anew when it is back
        return;
    report_(name_of(entry) + " cannot be carried out: " +
            (response.line != 0 ? "line " + std::to_string(response.line) + ": " : "") +
            response.message + "; the one before it is tried");
    boot();
}

// The data plane has a ruleset, which has been taken over, whatever the history says.
void Controller::compare_with_history() {
    // What waits for its confirmation is no part of the history yet.
    if (history_ == nullptr || reverts_at_)
        return;
    const auto newest = history_->store().newest();
    author_ = {.user = "sluice", .did = "found in sluice-dataplane", .whole = true};
    if (newest && history_->newest_has_policy_of(ruleset_))
        report_("it is the same as " + name_of(*newest));
    else if (newest && newest->generation > generation_)
        report_(name_of(*newest) + " is newer than it: what runs stays; `ipfw rollback " +
                std::to_string(newest->number) + "` brings the other one");
    else if (newest && newest->generation == generation_)
        report_("it differs from " + name_of(*newest) + ", and is added to the history");
    else if (newest)
        report_("it is newer than " + name_of(*newest) + ", and is added to the history");
    keep_history();
}

// A ruleset that was read back while it waited for its confirmation has no predecessor here; the
// newest of the history is it. Where there is no history, what runs is all that there is.
void Controller::forget_unconfirmed() {
    if (!std::exchange(found_unconfirmed_, false) || history_ == nullptr)
        return;
    report_("generation " + std::to_string(generation_) +
            " was not confirmed before sluice-dataplane was restarted");
    ruleset_ = ruleset::Ruleset(default_accept_);
    generation_ = 0;
    greeted_ = false;
}

// ---- What is kept -------------------------------------------------------------------------------

// The ruleset has become ours, by `author_`.
void Controller::keep_history() {
    if (boots_below_ == 0)
        went_back_ = false;
    if (reverts_at_) {
        unconfirmed_ = author_;
        // What runs before it is what a restart would bring.
        if (history_ != nullptr)
            history_->finish([](const Result<Done>&) {});
        return;
    }
    unconfirmed_.reset();
    if (history_ != nullptr)
        history_->record(ruleset_, generation_, author_);
}

void Controller::keep_tables() {
    if (history_ != nullptr && !reverts_at_ && !foreign_)
        history_->tables_changed(ruleset_, generation_);
}

bool Controller::knows_entries() const {
    return !link_.up() || foreign_ || entries_failed_ || mirror_.is_fresh() ||
           mirror_.entries() > kMostEntries;
}

std::optional<ruleset::EntryWriter> Controller::table_entries() {
    if (!knows_entries()) {
        wants_entries_ = true;
        if (!asked())
            ask_for_image();
        return std::nullopt;
    }
    const std::uint64_t now = clock_s_();
    return [this, age = now - std::min(now, image_s_), left = kMostEntries](
               const contract::TableDescriptor& table, std::string& text) mutable {
        std::string lines;
        std::size_t count = 0;
        mirror_.each_entry(table.id, [&](const contract::TableEntry& entry,
                                         const contract::TableValue& value) {
            if (entry.expires_s != 0 && entry.expires_s <= age)
                return;
            if (++count <= left)
                lines += ruleset::entry_line(
                    table, entry.key, value,
                    entry.expires_s == 0 ? 0 : entry.expires_s - static_cast<std::uint32_t>(age));
        });
        if (count <= left)
            text += lines;
        else
            text += "# table " + ruleset::table_name(table) + ": its " + std::to_string(count) +
                    " entries are too many to be kept\n";
        left -= std::min(left, count);
    };
}

// Or it is known that they will not be.
void Controller::entries_known() {
    wants_entries_ = false;
    if (history_ != nullptr)
        history_->advance();
    for (const Change& next : std::exchange(texts_, {}))
        answer_about_history(next);
}

// ---- Requests -----------------------------------------------------------------------------------

void Controller::answer_about_history(Change next) {
    using Kind = HistoryOperation::Kind;
    const auto operation = std::get<HistoryOperation>(next.request.operations.front().what);
    if (operation.kind == Kind::running) {
        std::optional<ruleset::EntryWriter> entries = ruleset::EntryWriter();
        if (!ruleset_.tables().all().empty())
            entries = table_entries();
        if (!entries)
            return texts_.push_back(std::move(next));
        OperationResult result;
        result.lines = lines_of(ruleset::ruleset_text(ruleset_, *entries));
        return next.reply(ready({std::move(result)}));
    }
    if (history_ == nullptr)
        return next.reply(refused(no_history()));
    if (operation.kind == Kind::save) {
        if (const auto reason = cannot_change())
            return next.reply(refused(*reason));
        if (reverts_at_)
            return next.reply(refused({ExitStatus::unavailable,
                                       "generation " + std::to_string(generation_) +
                                           " waits for its confirmation: `ipfw confirm` keeps it, "
                                           "and saves it"}));
        author_ = next.author;
        keep_history();
    }
    history_->finish([this, next, operation](const Result<Done>& written) {
        answer_history(next, operation, written);
    });
}

// `written`: whether all that was accepted is on the disk.
void Controller::answer_history(const Change& next, const HistoryOperation& operation,
                                const Result<Done>& written) {
    using Kind = HistoryOperation::Kind;
    OperationResult result;
    if (operation.kind == Kind::show) {
        const Result<history::Stored> stored = history_->read(operation.number);
        if (!stored)
            return next.reply(refused(stored.error()));
        result.history = {stored->entry};
        result.lines = lines_of(stored->text);
        return next.reply(ready({std::move(result)}));
    }
    if (operation.kind == Kind::save) {
        if (!written)
            return next.reply(refused({ExitStatus::os, written.error().message}));
        if (const auto newest = history_->store().newest())
            result.history = {*newest};
        return next.reply(ready({std::move(result)}));
    }
    result.history = history_->store().entries();
    if (!written)
        result.complaints.push_back("the ruleset that runs is not in the history: " +
                                    written.error().message);
    next.reply(ready({std::move(result)}));
}

// `number` 0: one back.
void Controller::roll_back(Change next, std::uint64_t number) {
    Request& request = next.request;
    if (!request.apply)
        request.apply = ApplyOrder();
    if (const auto reason = forbidden(request))
        return next.reply(refused(*reason));
    if (const auto reason = cannot_change())
        return next.reply(refused(*reason));
    if (history_ == nullptr)
        return next.reply(refused(no_history()));
    if (number == 0 && went_back_)
        return next.reply(refused(
            {ExitStatus::unavailable,
             "nothing waits for its confirmation any more: sluice-dataplane has gone back to "
             "generation " +
                 std::to_string(generation_) +
                 " by itself. `ipfw history` lists what `ipfw rollback N` can bring back"}));
    if (number != 0)
        return bring_back(std::move(next), number);
    // What is due is written first, so that one back is one back; but no disk holds up what others
    // want to change.
    rolling_back_ = true;
    const auto waits = std::make_shared<bool>(true);
    rollback_timer_ = loop_.after(disk_patience_, [this, waits, reply = next.reply] {
        *waits = rolling_back_ = false;
        reply(refused({ExitStatus::unavailable,
                       "the disk does not take what ran last, so it is not known what is one back; "
                       "`ipfw rollback N` brings back another of `ipfw history`"}));
        next_change();
    });
    history_->finish([this, waits, next = std::move(next)](const Result<Done>&) {
        if (!*waits)
            return;
        loop_.cancel(rollback_timer_);
        rolling_back_ = false;
        bring_back(next, 0);
        next_change();
    });
}

void Controller::bring_back(Change next, std::uint64_t number) {
    if (const auto reason = cannot_change())
        return next.reply(refused(*reason));
    if (number == 0)
        number = history_->one_back(ruleset_).value_or(0);
    if (number == 0)
        return next.reply(
            refused({ExitStatus::unavailable,
                     "nothing waits for its confirmation, and there is no earlier ruleset in the "
                     "history"}));
    const Result<history::Stored> stored = history_->read(number);
    if (!stored)
        return next.reply(refused(stored.error()));
    const std::uint64_t now = clock_s_();
    const Result<Request> request =
        restoring_request(stored->text, now - std::min(now, stored->entry.written_s),
                          ruleset_.tables(), *next.request.apply);
    if (!request)
        return next.reply(refused(request.error()));
    author_ = next.author;
    author_.whole = true;
    author_.restores = number;
    change(*request,
           [reply = next.reply, number](const Response& response) {
               Response answer = response;
               OperationResult result;
               result.lines.push_back("ruleset " + std::to_string(number) +
                                      " of the history runs again");
               for (const OperationResult& each : response.results)
                   result.complaints.insert(result.complaints.end(), each.complaints.begin(),
                                            each.complaints.end());
               if (response.status == ExitStatus::ok)
                   answer.results = {std::move(result)};
               reply(answer);
           },
           {});
}

}  // namespace sluice::service
