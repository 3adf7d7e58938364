// One rule set through Sluice's classifier, DPDK's rte_acl and a linear search, in turn, on one
// CPU: nanoseconds a packet for three kinds of traffic, time to build, memory. Both are checked
// against the linear search; a difference ends the program with status 1. The result is JSON.
//
//   classifier_benchmark [OPTION]… FILE       rules as ClassBench's, in the language of ipfw
//   classifier_benchmark [OPTION]… --own N    rules of its own making
//
//   --ipv6          the rules mapped to IPv6        --first N       the first N rules
//   --cpu N         to run on                       --rounds N      for medians
//   --packets N     in a trace                      --check N       packets of each trace to check
//   --huge          rte_acl in huge pages           --without-acl   without it
#include <sched.h>
#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "common/read_file.h"
#include "perf/classifier/acl.h"
#include "perf/classifier/measure.h"
#include "perf/classifier/rule_set.h"
#include "perf/classifier/subject.h"
#include "perf/classifier/trace.h"

namespace {

using namespace sluice;
using namespace sluice::perf;
using nlohmann::json;

// A candidate takes as many packets a round as it can in this time: the slow ones would take hours.
constexpr double kSecondsPerRound = 0.3;
constexpr std::size_t kLongestFile = std::size_t{256} << 20;
constexpr unsigned kOrdinaryMemoryMb = 8192;

[[noreturn]] void fail(const std::string& why) {
    std::fprintf(stderr, "classifier_benchmark: %s\n", why.c_str());
    std::exit(1);
}

template <typename T>
T must(Result<T> result) {
    if (!result)
        fail(result.error().message);
    return std::move(*result);
}

struct Options {
    std::string file;
    std::size_t own = 0;
    std::size_t first = 0;
    bool ipv6 = false;
    unsigned cpu = 0;
    std::size_t rounds = 9;
    std::size_t packets = std::size_t{1} << 17;
    std::size_t check = 3000;
    bool huge_pages = false;
    bool acl = true;
};

Options parse_options(int count, char** arguments) {
    Options options;
    std::map<std::string, std::function<void(std::size_t)>> with_number = {
        {"--own", [&](std::size_t n) { options.own = n; }},
        {"--first", [&](std::size_t n) { options.first = n; }},
        {"--cpu", [&](std::size_t n) { options.cpu = static_cast<unsigned>(n); }},
        {"--rounds", [&](std::size_t n) { options.rounds = n; }},
        {"--packets", [&](std::size_t n) { options.packets = n / kBurst * kBurst; }},
        {"--check", [&](std::size_t n) { options.check = n; }}};
    for (int i = 1; i < count; ++i) {
        const std::string word = arguments[i];
        const auto found = with_number.find(word);
        if (found != with_number.end()) {
            char* end = nullptr;
            const unsigned long long value =
                i + 1 < count ? std::strtoull(arguments[i + 1], &end, 10) : 0;
            if (value == 0 && (end == nullptr || end == arguments[i + 1] || word != "--cpu"))
                fail(word + " needs a number");
            found->second(value);
            ++i;
        } else if (word == "--ipv6") {
            options.ipv6 = true;
        } else if (word == "--huge") {
            options.huge_pages = true;
        } else if (word == "--without-acl") {
            options.acl = false;
        } else if (word.rfind("--", 0) == 0 || !options.file.empty()) {
            fail("there is no option " + word);
        } else {
            options.file = word;
        }
    }
    if (options.file.empty() == (options.own == 0))
        fail("give a rule file, or --own N");
    if (options.packets == 0)
        fail("--packets must be at least " + std::to_string(kBurst));
    return options;
}

RuleSet load(const Options& options) {
    RuleSet set;
    if (options.own != 0) {
        set = make_rule_set(options.own);
    } else {
        set = must(parse_rule_set(must(read_file(options.file, kLongestFile))));
        const std::size_t slash = options.file.rfind('/');
        set.name = options.file.substr(slash == std::string::npos ? 0 : slash + 1);
        set.name = set.name.substr(0, set.name.find('.'));
    }
    if (options.first != 0)
        shorten(set, options.first);
    if (options.ipv6)
        map_to_ipv6(set);
    return set;
}

void bind_to(unsigned cpu) {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(cpu, &cpus);
    if (sched_setaffinity(0, sizeof cpus, &cpus) != 0)
        fail("cannot run on CPU " + std::to_string(cpu));
}

// rte_acl may want more than there is; then it shall be told so, not killed.
void limit_memory() {
    std::size_t available_kb = 0;
    if (FILE* file = std::fopen("/proc/meminfo", "r")) {
        char line[128];
        while (std::fgets(line, sizeof line, file) != nullptr)
            if (std::sscanf(line, "MemAvailable: %zu", &available_kb) == 1)
                break;
        std::fclose(file);
    }
    const rlim_t bytes = available_kb * 1024 / 10 * 8;
    const rlimit limit{.rlim_cur = bytes, .rlim_max = bytes};
    setrlimit(RLIMIT_DATA, &limit);
}

// ---- Candidates --------------------------------------------------------------------------------

// To the compiler, a result that somebody wants.
void keep(std::uint32_t value) {
    asm volatile("" : : "r"(value));
}

struct Candidate {
    std::string name;
    std::function<void(std::size_t first, std::size_t count)> classify;
    std::function<void()> before = [] {};
    std::size_t packets = 0;
    std::vector<double> nanoseconds{};

    double run() {
        const double begin = thread_seconds();
        for (std::size_t first = 0; first < packets; first += kBurst)
            classify(first, kBurst);
        return thread_seconds() - begin;
    }

    // So many packets that a round does not take too long.
    void choose_packets(std::size_t most) {
        before();
        packets = kBurst;
        while (packets < most && run() < kSecondsPerRound / 2)
            packets = std::min(packets * 2, most);
    }

    void round() {
        before();
        run();  // so that what the one before has pushed out of the caches is back
        nanoseconds.push_back(run() / static_cast<double>(packets) * 1e9);
    }
};

json to_json(const Candidate& candidate) {
    const Spread spread = spread_of(candidate.nanoseconds);
    return {{"ns", spread.median},
            {"least", spread.least},
            {"greatest", spread.greatest},
            {"packets", candidate.packets}};
}

json to_json(const Subject& subject) {
    const Subject::Costs& costs = subject.costs();
    return {{"description", subject.description()}, {"language_s", costs.language_s},
            {"compiler_s", costs.compiler_s},       {"classifier_s", costs.classifier_s},
            {"runtime_s", costs.runtime_s},         {"bytes", costs.bytes}};
}

// ---- Checks ------------------------------------------------------------------------------------

std::string list(const std::vector<std::uint32_t>& indices) {
    std::string text;
    for (const std::uint32_t index : indices)
        text += " " + std::to_string(index);
    return text;
}

void check_subject(const RuleSet& set, const std::vector<Tuple>& trace, Subject& subject,
                   std::size_t count, const std::string& where) {
    for (std::size_t first = 0; first < count; first += kBurst) {
        const std::size_t burst = std::min(kBurst, count - first);
        subject.classify(first, burst);
        for (std::size_t i = 0; i < burst; ++i) {
            const auto wanted = matches_in_order(set, trace[first + i]);
            const auto found = subject.matches(i);
            if (found != wanted)
                fail(where + ", packet " + std::to_string(first + i) + ": Sluice finds the rules" +
                     list(found) + ", a linear search" + list(wanted));
        }
    }
}

void check_acl(const RuleSet& set, const std::vector<Tuple>& trace, Acl& acl, std::size_t count,
               const std::string& where) {
    for (std::size_t first = 0; first < count; first += kBurst) {
        const std::size_t burst = std::min(kBurst, count - first);
        acl.classify(first, burst);
        for (std::size_t i = 0; i < burst; ++i)
            if (const std::uint32_t wanted = first_match(set, trace[first + i]);
                acl.match(i) != wanted)
                fail(where + ", packet " + std::to_string(first + i) + ": rte_acl finds rule " +
                     std::to_string(acl.match(i)) + ", a linear search " + std::to_string(wanted));
    }
}

// ---- One rule set ------------------------------------------------------------------------------

struct Engines {
    RuleSet set;
    RuleSet counting_set{};
    std::unique_ptr<Subject> subject{};
    std::unique_ptr<Subject> counting{};
    std::unique_ptr<Acl> acl{};  // may be absent
};

json measure_trace(Engines& engines, TraceKind kind, const Options& options) {
    const RuleSet& set = engines.set;
    const std::vector<Tuple> trace = make_trace(set, kind, options.packets);
    const Packets packets = must(Packets::make(trace, set.ip_version));
    engines.subject->read(packets.packets());
    engines.counting->read(packets.packets());

    std::vector<Candidate> candidates;
    candidates.push_back({.name = "sluice", .classify = [&](std::size_t first, std::size_t count) {
                              engines.subject->classify(first, count);
                          }});
    candidates.push_back({.name = "linear", .classify = [&](std::size_t first, std::size_t count) {
                              for (std::size_t i = first; i < first + count; ++i)
                                  keep(first_match(set, trace[i]));
                          }});
    candidates.push_back(
        {.name = "sluice, count rules", .classify = [&](std::size_t first, std::size_t count) {
             engines.counting->classify(first, count);
         }});
    const std::string where = set.name + ", " + trace_name(kind);
    const std::size_t check = std::min(options.check, trace.size());
    check_subject(set, trace, *engines.subject, check, where);
    check_subject(engines.counting_set, trace, *engines.counting, check, where + ", count rules");
    if (engines.acl != nullptr) {
        Acl& acl = *engines.acl;
        acl.read(trace, set.ip_version);
        // Between the others: Sluice, a method, linear search, a method, …
        for (std::size_t i = 0; i < acl.methods().size(); ++i) {
            acl.use_method(i);
            check_acl(set, trace, acl, check, where + ", " + acl.methods()[i]);
            candidates.insert(
                candidates.begin() +
                    static_cast<std::ptrdiff_t>(std::min(2 * i + 1, candidates.size())),
                {.name = "rte_acl " + acl.methods()[i],
                 .classify = [&acl](std::size_t first,
                                    std::size_t count) { acl.classify(first, count); },
                 .before = [&acl, i] { acl.use_method(i); }});
        }
    }
    for (Candidate& candidate : candidates)
        candidate.choose_packets(options.packets);
    for (std::size_t round = 0; round < options.rounds; ++round)
        for (Candidate& candidate : candidates)
            candidate.round();
    json result;
    for (const Candidate& candidate : candidates)
        result[candidate.name] = to_json(candidate);
    return result;
}

json measure(const Options& options) {
    Engines engines{.set = load(options)};
    engines.counting_set = with_count_rules(engines.set);
    engines.subject = must(Subject::build(engines.set));
    engines.counting = must(Subject::build(engines.counting_set));
    json result = {{"name", engines.set.name},
                   {"ip_version", engines.set.ip_version},
                   {"rules", engines.set.rules.size()},
                   {"sluice", to_json(*engines.subject)},
                   {"checked", std::min(options.check, options.packets)}};
    if (options.acl) {
        auto acl = Acl::build(engines.set);
        if (acl) {
            engines.acl = std::move(*acl);
            const Acl::Costs& costs = engines.acl->costs();
            result["rte_acl"] = {{"build_s", costs.build_s},
                                 {"bytes", costs.bytes},
                                 {"peak_bytes", costs.peak_bytes}};
        } else {
            result["rte_acl"] = {{"error", acl.error().message}};
        }
    }
    for (const TraceKind kind : kTraceKinds)
        result["traces"][trace_name(kind)] = measure_trace(engines, kind, options);
    return result;
}

}  // namespace

int main(int count, char** arguments) {
    const Options options = parse_options(count, arguments);
    bind_to(options.cpu);
    if (options.acl)
        must(start_dpdk(options.cpu, options.huge_pages, kOrdinaryMemoryMb));
    limit_memory();
    const json result = measure(options);
    std::printf("%s\n", result.dump(2).c_str());
    return 0;
}
