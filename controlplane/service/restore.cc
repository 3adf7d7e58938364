#include "controlplane/service/restore.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <string>

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
    rule->number = record.number;
    rule->set = record.set;
    return std::move(*rule);
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

    const auto records = view->rules();
    std::vector<ruleset::Ruleset::Restored> rules;
    rules.reserve(records.size());
    for (const contract::RuleRecord& record : records.first(records.size() - 1)) {
        Result<language::Rule> rule = read_rule(*view, record);
        if (!rule)
            return rule.error();
        rules.push_back({std::move(*rule), record.slot, record.log_limit});
    }
    const contract::RuleRecord& last = records.back();
    return ruleset::Ruleset::restore(std::move(rules), last.action == contract::RuleAction::allow,
                                     last.slot, hello.slot_capacity, view->sysctls());
}

}  // namespace sluice::service
