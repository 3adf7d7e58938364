// payload_benchmark: how fast patterns are looked for.
//
//     taskset -c CPU payload_benchmark [MOST_PATTERNS]
//
// Lines of CSV, one for each round. Sets of patterns, half of them literals and half expressions
// with one, are looked for in text like that of HTTP, in pieces of so many bytes: each by itself,
// or as the next one of 256 connections in turn. Times are those of the thread on its CPU, so that
// other work on the machine counts by what it does to the caches only.
//
//   bare        a loop of hs_scan or hs_scan_stream over the pieces
//   engine      the engine, of packets that carry them: `deny tcp from any to any 80 payload SET`,
//               then `allow ip from any to any`, or, where states are followed, `check-state` and
//               `allow tcp from any to any setup keep-state`
//   other port  the same rules, and packets that the first one does not concern
//   no payload  the same packets as those, and a first rule without a test of payload
//   estimate    what `ipfw pattern NAME lint` says of 1460 bytes
#include <hs.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include "controlplane/patterns/corpus.h"
#include "controlplane/patterns/lint.h"
#include "controlplane/patterns/pattern.h"
#include "perf/payload_engine.h"
#include "tests/reference/random_source.h"

namespace {

using namespace sluice;
using contract::PatternMode;
using patterns::DatabaseOrder;
using perf::fail;
using perf::PayloadEngine;
using perf::PayloadRule;
using perf::Traffic;
using reference::Random;

constexpr std::size_t kSets[] = {1, 10, 100, 1000, 10000};
constexpr std::size_t kSizes[] = {64, 128, 256, 512, 1024, 1460};
constexpr unsigned kRounds = 7;
constexpr double kRound_s = 0.02;
constexpr std::size_t kCorpus = std::size_t{8} << 20;

void check(hs_error_t status, const char* what) {
    if (status != HS_SUCCESS)
        fail(std::string(what) + ": " + std::to_string(status));
}

double cpu_seconds() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

std::string letters(Random& random, unsigned count) {
    std::string text;
    for (; count > 0; --count)
        text += "abcdefghijklmnopqrstuvwxyz0123456789_-~!"[random.below(40)];
    return text;
}

DatabaseOrder draw_order(PatternMode mode, std::size_t count) {
    static const std::vector<std::string> middles = {"[0-9]{1,4}", ".{0,40}",      "\\s+",
                                                     "[^&]{1,20}", "(?:%20|\\+)*", "\\W"};
    Random random(count);
    DatabaseOrder order{.mode = mode};
    for (std::size_t i = 0; i < count; ++i) {
        const std::string literal = letters(random, random.between(8, 16));
        order.patterns.push_back(i % 2 == 1 ? patterns::literal_text(literal)
                                            : "re:/" + literal + random.pick(middles) +
                                                  letters(random, random.between(2, 6)) + "/i");
    }
    return order;
}

struct Free {
    void operator()(hs_database_t* database) const { hs_free_database(database); }
    void operator()(hs_scratch_t* scratch) const { hs_free_scratch(scratch); }
};

// None of the patterns is in the text, or something else would be measured: hs_scan says so then.
int stop(unsigned, unsigned long long, unsigned long long, unsigned, void*) {
    return 1;
}

// The loop that the engine is held against.
class Bare {
  public:
    Bare(PatternMode mode, const patterns::Database& database) : mode_(mode) {
        hs_database_t* loaded = nullptr;
        check(hs_deserialize_database(reinterpret_cast<const char*>(database.bytes.data()),
                                      database.bytes.size(), &loaded),
              "hs_deserialize_database");
        database_.reset(loaded);
        hs_scratch_t* scratch = nullptr;
        check(hs_alloc_scratch(loaded, &scratch), "hs_alloc_scratch");
        scratch_.reset(scratch);
        if (mode_ == PatternMode::packet)
            return;
        for (std::size_t i = 0; i < Traffic::kConnections; ++i) {
            hs_stream_t* stream = nullptr;
            check(hs_open_stream(loaded, 0, &stream), "hs_open_stream");
            streams_.push_back(stream);
        }
    }
    ~Bare() {
        for (hs_stream_t* stream : streams_)
            hs_close_stream(stream, nullptr, nullptr, nullptr);
    }
    Bare(const Bare&) = delete;
    Bare& operator=(const Bare&) = delete;

    void prepare(const Traffic&) {}
    void pass(const Traffic& traffic) {
        for (std::size_t i = 0; i < traffic.size(); ++i) {
            const std::span<const std::byte> payload = traffic.payload(i);
            const auto* piece = reinterpret_cast<const char*>(payload.data());
            const auto length = static_cast<unsigned>(payload.size());
            if (mode_ == PatternMode::packet) {
                check(hs_scan(database_.get(), piece, length, 0, scratch_.get(), stop, nullptr),
                      "hs_scan");
                continue;
            }
            hs_stream_t* stream = streams_[Traffic::connection(i)];
            if (Traffic::begins_connection(i))
                check(hs_reset_stream(stream, 0, nullptr, nullptr, nullptr), "hs_reset_stream");
            check(hs_scan_stream(stream, piece, length, 0, scratch_.get(), stop, nullptr),
                  "hs_scan_stream");
        }
    }

  private:
    PatternMode mode_;
    std::unique_ptr<hs_database_t, Free> database_;
    std::unique_ptr<hs_scratch_t, Free> scratch_;
    std::vector<hs_stream_t*> streams_;
};

template <typename Subject>
double nanoseconds(Subject& subject, const Traffic& traffic) {
    double seconds = 0;
    std::size_t packets = 0;
    // What comes first brings everything into the caches.
    for (bool counts = false; seconds < kRound_s; counts = true) {
        subject.prepare(traffic);
        const double begin = cpu_seconds();
        subject.pass(traffic);
        seconds += counts ? cpu_seconds() - begin : 0;
        packets += counts ? traffic.size() : 0;
    }
    return seconds / static_cast<double>(packets) * 1e9;
}

ruleset::PatternObject object_of(const DatabaseOrder& order,
                                 std::shared_ptr<const patterns::Database> database) {
    ruleset::PatternObject object{
        .name = "set",
        .settings = {.mode = order.mode,
                     .depth = order.mode == PatternMode::stream ? contract::kStreamDepth
                                                                : contract::kPacketDepth},
        .patterns = {},
        .places = {},
        .content = database->content,
        .database = std::move(database)};
    for (const std::string& text : order.patterns) {
        object.places.emplace(text, static_cast<std::uint32_t>(object.patterns.size()));
        object.patterns.push_back({.text = text, .value = 0});
    }
    return object;
}

void measure(PatternMode mode, std::size_t count, const std::string& corpus) {
    const DatabaseOrder order = draw_order(mode, count);
    const auto database = patterns::make_database(order);
    if (!database)
        fail(database.error().message);
    const auto cost = patterns::measure_cost(order);
    if (!cost)
        fail(cost.error().message);
    const ruleset::PatternObject object = object_of(order, *database);
    Bare bare(mode, **database);
    PayloadEngine with(object, PayloadRule::with), without(object, PayloadRule::without);
    for (const std::size_t bytes : kSizes) {
        const Traffic concerned(corpus, bytes, PayloadEngine::kPort);
        const Traffic other(corpus, bytes, PayloadEngine::kOtherPort);
        for (unsigned round = 0; round < kRounds; ++round) {
            const double bare_ns = nanoseconds(bare, concerned);
            const std::uint64_t looks = with.looks();
            const double engine_ns = nanoseconds(with, concerned);
            if (with.looks() < looks + concerned.size())
                fail("the engine has not looked for the patterns");
            const std::uint64_t looks_before = with.looks();
            const double other_ns = nanoseconds(with, other);
            if (with.looks() != looks_before)
                fail("the engine has looked at packets of another port");
            const double without_ns = nanoseconds(without, other);
            std::printf("%s,%zu,%zu,%.2f,%.2f,%.2f,%.2f,%.2f,%llu,%llu\n",
                        mode == PatternMode::packet ? "packet" : "stream", count, bytes, bare_ns,
                        engine_ns, other_ns, without_ns, cost->large_gbit,
                        static_cast<unsigned long long>(cost->database_bytes),
                        static_cast<unsigned long long>(cost->stream_bytes));
        }
    }
}

}  // namespace

int main(int argc, char** argv) {
    const std::size_t most = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 10000;
    const std::string corpus = patterns::http_corpus(kCorpus, 2);
    std::puts(
        "mode,patterns,bytes,bare ns,engine ns,other port ns,no payload ns,estimate,"
        "database bytes,stream bytes");
    for (const PatternMode mode : {PatternMode::packet, PatternMode::stream})
        for (const std::size_t count : kSets)
            if (count <= most)
                measure(mode, count, corpus);
    return 0;
}
