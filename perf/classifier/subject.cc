#include "perf/classifier/subject.h"

#include <optional>
#include <utility>
#include <variant>

#include "controlplane/compiler/compile.h"
#include "controlplane/language/rule_file.h"
#include "controlplane/ruleset/ruleset.h"
#include "dataplane/classify/classifier.h"
#include "perf/classifier/measure.h"

namespace sluice::perf {

namespace {

constexpr std::uint32_t kSlots = 131072;

template <typename Work>
auto timed(double& seconds, Work work) {
    const double begin = thread_seconds();
    auto result = work();
    seconds = thread_seconds() - begin;
    return result;
}

Result<ruleset::Ruleset> read_rules(const std::string& text) {
    const language::RuleFile file = language::parse_file(text, language::refusing_resolver());
    if (!file.errors.empty())
        return Error{ExitStatus::data, file.errors.front().text()};
    ruleset::Ruleset rules(false, kSlots);
    for (const language::FileLine& line : file.lines)
        if (auto added = rules.add(std::get<language::AddCommand>(line.invocation.command).rule);
            !added)
            return added.error();
    return rules;
}

}  // namespace

Result<std::unique_ptr<Subject>> Subject::build(const RuleSet& set) {
    std::unique_ptr<Subject> subject(new Subject);
    Costs& costs = subject->costs_;
    const std::string text = to_text(set);
    const auto rules = timed(costs.language_s, [&] { return read_rules(text); });
    if (!rules)
        return rules.error();
    const auto image = timed(costs.compiler_s, [&] { return compiler::compile(*rules, 1); });
    if (!image)
        return image.error();
    packet::Environment environment;
    environment.interfaces = {{.name = "em0", .addresses = {}}, {.name = "em1", .addresses = {}}};
    auto runtime = timed(costs.runtime_s,
                         [&] { return program::Runtime::create(*image, environment, kSlots); });
    if (!runtime)
        return runtime.error();
    subject->runtime_ = std::move(*runtime);
    // Once more and alone, to see what the classifier's share is.
    const program::Runtime& made = *subject->runtime_;
    std::optional<classify::Classifier> alone;
    const double begin = thread_seconds();
    alone.emplace(made.view(), made.environment(), made.local_addresses(),
                  classify::Classifier::Options{});
    costs.classifier_s = thread_seconds() - begin;
    costs.bytes = alone->cost().bytes;
    return subject;
}

std::string Subject::description() const {
    return std::string("split trees, ") + classify::name_of(classify::best_instruction_set());
}

void Subject::read(const std::vector<packet::Packet>& packets) {
    keys_.resize(packets.size());
    runtime_->classifier().read_keys(packets, keys_);
}

void Subject::classify(std::size_t first, std::size_t count) {
    runtime_->classifier().classify({keys_.data() + first, count}, 0, found_);
    first_ = first;
}

std::vector<std::uint32_t> Subject::matches(std::size_t place) const {
    const auto rules = runtime_->view().rules();
    classify::Matches found = found_[place];
    std::vector<std::uint32_t> list;
    for (;;) {
        list.insert(list.end(), found.rules.begin(), found.rules.begin() + found.count);
        if (rules[list.back()].action != contract::RuleAction::count)
            return list;
        runtime_->classifier().classify({&keys_[first_ + place], 1}, found.end, {&found, 1});
    }
}

}  // namespace sluice::perf
