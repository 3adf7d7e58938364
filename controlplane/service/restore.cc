#include "controlplane/service/restore.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <string>

#include "controlplane/compiler/support.h"
#include "controlplane/ruleset/canonical_text.h"
#include "dataplane/contract/snapshot_view.h"

namespace sluice::service {
namespace {

struct Free {
    void operator()(std::byte* bytes) const { std::free(bytes); }
};
using AlignedBytes = std::unique_ptr<std::byte, Free>;

Error unreadable(const std::string& what) {
    return {ExitStatus::unavailable, what};
}

Result<language::Rule> read_rule(const contract::SnapshotView& view,
                                 const contract::RuleRecord& record) {
    Result<language::Rule, language::ParseError> rule =
        ruleset::parse_canonical(view.rule_text(record));
    if (!rule)
        return unreadable("rule " + std::to_string(record.number) + ": " + rule.error().text());
    if (const auto reason = compiler::unsupported(*rule))
        return unreadable("rule " + std::to_string(record.number) + ": " + *reason);
    rule->number = record.number;
    rule->set = record.set;
    return std::move(*rule);
}

Result<ruleset::Ruleset::Restored> restored(const contract::SnapshotView& view,
                                            const contract::RuleRecord& record) {
    Result<language::Rule> rule = read_rule(view, record);
    if (!rule)
        return rule.error();
    return ruleset::Ruleset::Restored{.rule = std::move(*rule),
                                      .slot = record.slot,
                                      .log_limit = record.log_limit,
                                      .id = record.id};
}

// Rules of disabled sets stand behind the others, but their texts stand where the rules belong.
std::vector<const contract::RuleRecord*> in_order(const contract::SnapshotView& view) {
    const auto records = view.all_rules();
    const std::size_t default_rule = view.rules().size() - 1;
    std::vector<const contract::RuleRecord*> result;
    for (std::size_t i = 0; i < records.size(); ++i)
        if (i != default_rule && (records[i].flags & contract::rule_flag::orphan) == 0)
            result.push_back(&records[i]);
    std::sort(result.begin(), result.end(),
              [](const contract::RuleRecord* a, const contract::RuleRecord* b) {
                  return a->text_offset < b->text_offset;
              });
    return result;
}

// With their databases: compiling them again could take minutes, and give others.
ruleset::PatternCatalogue patterns_of(const contract::SnapshotView& view) {
    ruleset::PatternCatalogue patterns;
    for (const contract::PatternObject& record : view.pattern_objects()) {
        ruleset::PatternObject object;
        object.name = record.name;
        object.settings = {.type = record.type,
                           .mode = record.mode,
                           .direction = record.direction,
                           .depth = record.depth,
                           .ignore_case = record.ignore_case != 0};
        object.content = record.content;
        for (const contract::PatternRecord& pattern : view.patterns(record))
            object.patterns.push_back({std::string(view.pattern_text(pattern)), pattern.value});
        if (const auto bytes = std::as_bytes(view.database(record)); !bytes.empty())
            object.database = std::make_shared<const patterns::Database>(
                patterns::Database{.content = record.content,
                                   .bytes = std::vector<std::byte>(bytes.begin(), bytes.end())});
        patterns.adopt(std::move(object));
    }
    return patterns;
}

Result<ruleset::Ruleset> ruleset_of(const contract::SnapshotView& view,
                                    const contract::Hello& hello) {
    const contract::RuleRecord& last = view.rules().back();
    ruleset::Ruleset::Running running{.rules = {},
                                      .orphans = {},
                                      .default_accept = last.action == contract::RuleAction::allow,
                                      .default_slot = last.slot,
                                      .next_id = last.id,
                                      .slot_capacity = hello.slot_capacity,
                                      .disabled_sets = view.header().disabled_sets,
                                      .sysctls = view.sysctls(),
                                      .patterns = patterns_of(view)};
    for (const contract::RuleRecord* record : in_order(view)) {
        Result<ruleset::Ruleset::Restored> rule = restored(view, *record);
        if (!rule)
            return rule.error();
        running.rules.push_back(std::move(*rule));
    }
    for (const contract::RuleRecord& record : view.all_rules()) {
        if ((record.flags & contract::rule_flag::orphan) == 0)
            continue;
        Result<ruleset::Ruleset::Restored> rule = restored(view, record);
        if (!rule)
            return rule.error();
        running.orphans.push_back(std::move(*rule));
    }
    return ruleset::Ruleset::restore(std::move(running));
}

}  // namespace

Result<ruleset::Ruleset> restore_from_snapshot(int fd, const contract::Hello& hello) {
    struct stat status {};
    if (fstat(fd, &status) != 0)
        return unreadable(std::strerror(errno));
    const auto size = static_cast<std::size_t>(status.st_size);
    if (size == 0 || size > contract::kSnapshotMaximumSize)
        return unreadable("a snapshot of " + std::to_string(size) + " bytes");
    constexpr std::size_t kAlign = contract::kSectionAlignment;
    const AlignedBytes bytes(
        static_cast<std::byte*>(std::aligned_alloc(kAlign, (size + kAlign - 1) / kAlign * kAlign)));
    if (!bytes)
        return Error{ExitStatus::os, "no memory"};
    for (std::size_t done = 0; done < size;) {
        const ssize_t n = pread(fd, bytes.get() + done, size - done, static_cast<off_t>(done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return unreadable("the snapshot ends early");
        done += static_cast<std::size_t>(n);
    }
    const Result<contract::SnapshotView> view =
        contract::SnapshotView::validate(std::span<const std::byte>(bytes.get(), size));
    if (!view)
        return view.error();
    if (view->header().generation != hello.generation)
        return unreadable("the snapshot is of another generation than the data plane says");

    return ruleset_of(*view, hello);
}

}  // namespace sluice::service
