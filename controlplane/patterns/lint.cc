#include "controlplane/patterns/lint.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <unordered_map>

#include "controlplane/patterns/compiler_process.h"
#include "controlplane/patterns/corpus.h"
#include "controlplane/patterns/expression_shape.h"
#include "controlplane/patterns/order_format.h"
#include "controlplane/patterns/pattern.h"

namespace sluice::patterns {
namespace {

constexpr std::size_t kShortLiteral = 6;  // with fewer bytes it is short
constexpr std::size_t kLargeRepeat = 64;  // from here on it is large
constexpr std::size_t kCorpus = std::size_t{256} << 10;
constexpr std::size_t kCommon = 4;                     // so many times in it
constexpr std::size_t kLongestCommon = 24;             // longer ones are looked for no more
constexpr std::size_t kComparedBytes = 1'000'000'000;  // then covers are looked for no more
constexpr std::size_t kMostCommon = 4000;              // so many patterns are looked for in it

std::string lower(std::string_view text) {
    std::string result(text);
    for (char& c : result)
        if (c >= 'A' && c <= 'Z')
            c = static_cast<char>(c - 'A' + 'a');
    return result;
}

// What is demanded by a pattern of type bytes.
struct Demand {
    std::string literal;
    bool ignore_case = false;
    bool expression = false;
    bool lines = false;  // ^ and $ are of lines
    ExpressionShape shape;
};

Demand demand_of(const std::string& canonical, bool ignore_case) {
    Demand demand;
    demand.ignore_case = ignore_case;
    demand.expression = is_expression(canonical);
    if (demand.expression) {
        const Expression expression = expression_of(canonical);
        demand.shape = shape_of(expression.text);
        demand.literal = demand.shape.literal;
        demand.ignore_case |=
            expression.letters.find('i') != std::string_view::npos || demand.shape.any_case;
        demand.lines = expression.letters.find('m') != std::string_view::npos;
    } else {
        demand.literal = literal_bytes(canonical);
    }
    return demand;
}

class Findings {
  public:
    void add(PatternFault fault, std::size_t pattern, std::optional<std::size_t> other = {},
             std::string literal = {}) {
        found_.push_back({.fault = fault,
                          .pattern = pattern,
                          .other = other,
                          .literal = literal.empty() ? literal : literal_text(literal)});
    }
    std::vector<PatternFinding> in_order() {
        std::stable_sort(
            found_.begin(), found_.end(),
            [](const PatternFinding& a, const PatternFinding& b) { return a.pattern < b.pattern; });
        return std::move(found_);
    }

  private:
    std::vector<PatternFinding> found_;
};

// Patterns that are whole literals, by their bytes, to be found in others.
class Literals {
  public:
    // False: it is there already, at `first`.
    bool add(std::string literal, std::size_t pattern, std::size_t& first) {
        lengths_.insert(literal.size());
        const auto [place, added] = places_.try_emplace(std::move(literal), pattern);
        first = place->second;
        return added;
    }

    // One that is in the text, and not longer than so many bytes.
    std::optional<std::size_t> inside(std::string_view text, std::size_t longest) {
        for (const std::size_t length : lengths_)
            for (std::size_t at = 0; length <= longest && at + length <= text.size(); ++at) {
                if (length > bytes_left_)
                    return std::nullopt;
                bytes_left_ -= length;
                if (const auto found = places_.find(text.substr(at, length));
                    found != places_.end())
                    return found->second;
            }
        return std::nullopt;
    }

  private:
    struct Hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const {
            return std::hash<std::string_view>()(text);
        }
    };

    std::set<std::size_t> lengths_;
    std::unordered_map<std::string, std::size_t, Hash, std::equal_to<>> places_;
    std::size_t bytes_left_ = kComparedBytes;
};

std::size_t times_in(std::string_view corpus, std::string_view literal) {
    std::size_t times = 0;
    for (std::size_t at = 0; times < kCommon; ++times, ++at) {
        at = corpus.find(literal, at);
        if (at == std::string_view::npos)
            break;
    }
    return times;
}

void look_for_covers(const std::vector<Demand>& demands, const std::vector<std::string>& texts,
                     bool ignore_case, Findings& findings) {
    Literals literals;
    std::map<std::string_view, std::size_t> expressions;
    std::vector<bool> again(demands.size());
    for (std::size_t i = 0; i < demands.size(); ++i) {
        std::size_t first = i;
        if (demands[i].expression) {
            const auto [place, added] = expressions.try_emplace(texts[i], i);
            again[i] = !added;
            first = place->second;
        } else {
            again[i] = !literals.add(ignore_case ? lower(demands[i].literal) : demands[i].literal,
                                     i, first);
        }
        if (again[i])
            findings.add(PatternFault::duplicate, i, first);
    }
    for (std::size_t i = 0; i < demands.size(); ++i) {
        // What an expression demands in any case need not be what a literal is in its own.
        if (again[i] || (demands[i].ignore_case && !ignore_case))
            continue;
        const std::string& certain =
            demands[i].expression ? demands[i].shape.certain : demands[i].literal;
        const std::string text = ignore_case ? lower(certain) : certain;
        if (text.empty())
            continue;
        // An expression demands more than its literal, which may be one of the others as a whole.
        const auto other =
            literals.inside(text, demands[i].expression ? text.size() : text.size() - 1);
        if (other)
            findings.add(PatternFault::covered, i, other);
    }
}

void look_at_quality(const std::vector<Demand>& demands, Findings& findings) {
    const std::string corpus = http_corpus(kCorpus);
    const std::string lower_corpus = lower(corpus);
    std::size_t looked_for = 0;
    for (std::size_t i = 0; i < demands.size(); ++i) {
        const Demand& demand = demands[i];
        const std::string literal = demand.ignore_case ? lower(demand.literal) : demand.literal;
        if (literal.empty())
            findings.add(PatternFault::no_literal, i);
        else if (literal.size() < kShortLiteral)
            findings.add(PatternFault::short_literal, i, {}, demand.literal);
        else if (literal.size() <= kLongestCommon && ++looked_for <= kMostCommon &&
                 times_in(demand.ignore_case ? lower_corpus : corpus, literal) >= kCommon)
            findings.add(PatternFault::common_literal, i, {}, demand.literal);
        if (demand.shape.largest_repeat >= kLargeRepeat)
            findings.add(PatternFault::large_repeat, i);
    }
}

void look_at_names(const std::vector<std::string>& names, Findings& findings) {
    std::unordered_map<std::string_view, std::size_t> domains, alone;
    for (std::size_t i = 0; i < names.size(); ++i) {
        auto& same = names[i].starts_with('=') ? alone : domains;
        if (const auto [place, added] = same.try_emplace(names[i], i); !added)
            findings.add(PatternFault::duplicate, i, place->second);
    }
    for (std::size_t i = 0; i < names.size(); ++i) {
        std::string_view name = names[i];
        const bool itself = name.starts_with('=');
        if (itself)
            name.remove_prefix(1);
        std::size_t at = itself ? 0 : name.find('.') + 1;
        while (itself || at != 0) {
            if (const auto found = domains.find(name.substr(at)); found != domains.end()) {
                findings.add(PatternFault::covered, i, found->second);
                break;
            }
            const std::size_t dot = name.find('.', at);
            if (dot == std::string_view::npos)
                break;
            at = dot + 1;
        }
    }
}

}  // namespace

Result<PatternCost, DatabaseError> measure_cost(const DatabaseOrder& order) {
    const auto database = make_database(order);
    if (!database)
        return database.error();
    const auto bytes =
        ask_compiler(write_subject(order.mode, (*database)->bytes), {}, CompilerTask::measure);
    if (!bytes)
        return DatabaseError{.message = bytes.error().message};
    const auto answer = read_answer(*bytes);
    if (answer && std::holds_alternative<DatabaseError>(*answer))
        return *std::get_if<DatabaseError>(&*answer);
    const auto* measured = answer ? std::get_if<std::vector<std::byte>>(&*answer) : nullptr;
    PatternCost cost;
    if (measured == nullptr || measured->size() != sizeof cost)
        return DatabaseError{.message = "the process that measures patterns gave no answer"};
    std::memcpy(&cost, measured->data(), sizeof cost);
    return cost;
}

LintReport lint(const LintOrder& order) {
    LintReport report;
    Findings findings;
    const std::vector<std::string>& texts = order.database.patterns;
    if (order.type == contract::PatternType::names) {
        report.names = texts.size();
        look_at_names(texts, findings);
        report.findings = findings.in_order();
        return report;
    }
    std::vector<Demand> demands;
    for (const std::string& text : texts) {
        demands.push_back(demand_of(text, order.database.ignore_case));
        ++(demands.back().expression ? report.expressions : report.literals);
    }
    look_for_covers(demands, texts, order.database.ignore_case, findings);
    look_at_quality(demands, findings);
    const bool streams = order.database.mode == contract::PatternMode::stream;
    for (std::size_t i = 0; i < demands.size(); ++i)
        if (const Demand& demand = demands[i];
            streams ? demand.shape.ends
                    : !demand.lines && (demand.shape.begins || demand.shape.ends))
            findings.add(PatternFault::anchored, i);
    report.findings = findings.in_order();
    if (texts.empty())
        return report;
    if (const auto cost = measure_cost(order.database))
        report.cost = *cost;
    else
        report.no_cost = cost.error().message;
    return report;
}

}  // namespace sluice::patterns
