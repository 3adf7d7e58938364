// payload_benchmark: how fast patterns are looked for.
//
//     taskset -c CPU payload_benchmark [MOST_PATTERNS]
//
// Lines of CSV, one for each round. Sets of patterns, half of them literals and half expressions
// with one, are looked for in text like that of HTTP, in pieces of so many bytes: each by itself,
// or as the next one of 256 streams in turn. `bare` is a loop of hs_scan or hs_scan_stream. Times
// are those of the thread on its CPU, so that other work on the machine counts by what it does to
// the caches only. `estimate` is what `ipfw pattern NAME lint` says of 1460 bytes.
#include <hs.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include "controlplane/patterns/corpus.h"
#include "controlplane/patterns/lint.h"
#include "controlplane/patterns/pattern.h"
#include "tests/reference/random_source.h"

namespace {

using namespace sluice;
using contract::PatternMode;
using patterns::DatabaseOrder;
using reference::Random;

constexpr std::size_t kSets[] = {1, 10, 100, 1000, 10000};
constexpr std::size_t kSizes[] = {64, 128, 256, 512, 1024, 1460};
constexpr unsigned kRounds = 7;
constexpr double kRound_s = 0.02;
constexpr std::size_t kBetweenClocks = 64;
constexpr std::size_t kCorpus = std::size_t{8} << 20;
constexpr std::size_t kStreams = 256;

[[noreturn]] void fail(const std::string& why) {
    std::fprintf(stderr, "payload_benchmark: %s\n", why.c_str());
    std::exit(1);
}

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

// The loop that an engine is held against.
class Bare {
  public:
    Bare(const DatabaseOrder& order, const patterns::Database& database, const std::string& corpus)
        : mode_(order.mode), corpus_(corpus) {
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
        for (std::size_t i = 0; i < kStreams; ++i) {
            hs_stream_t* stream = nullptr;
            check(hs_open_stream(loaded, 0, &stream), "hs_open_stream");
            streams_.push_back({.stream = stream});
        }
    }
    ~Bare() {
        for (const Stream& stream : streams_)
            hs_close_stream(stream.stream, nullptr, nullptr, nullptr);
    }
    Bare(const Bare&) = delete;
    Bare& operator=(const Bare&) = delete;

    void scan(std::size_t bytes) {
        at_ = at_ + bytes > corpus_.size() ? 0 : at_;
        const char* piece = corpus_.data() + at_;
        at_ += bytes;
        const auto length = static_cast<unsigned>(bytes);
        if (mode_ == PatternMode::packet)
            return check(hs_scan(database_.get(), piece, length, 0, scratch_.get(), stop, nullptr),
                         "hs_scan");
        Stream& stream = streams_[next_++ % kStreams];
        // The next flow.
        if (stream.scanned >= contract::kStreamDepth) {
            check(hs_reset_stream(stream.stream, 0, nullptr, nullptr, nullptr), "hs_reset_stream");
            stream.scanned = 0;
        }
        stream.scanned += bytes;
        check(hs_scan_stream(stream.stream, piece, length, 0, scratch_.get(), stop, nullptr),
              "hs_scan_stream");
    }

  private:
    struct Stream {
        hs_stream_t* stream = nullptr;
        std::size_t scanned = 0;
    };

    PatternMode mode_;
    const std::string& corpus_;
    std::size_t at_ = 0;
    std::size_t next_ = 0;
    std::unique_ptr<hs_database_t, Free> database_;
    std::unique_ptr<hs_scratch_t, Free> scratch_;
    std::vector<Stream> streams_;
};

template <typename Work>
double nanoseconds(Work work) {
    const double begin = cpu_seconds();
    double end = begin;
    std::size_t times = 0;
    for (; end - begin < kRound_s; end = cpu_seconds())
        for (std::size_t i = 0; i < kBetweenClocks; ++i, ++times)
            work();
    return (end - begin) / static_cast<double>(times) * 1e9;
}

void measure(PatternMode mode, std::size_t count, const std::string& corpus) {
    const DatabaseOrder order = draw_order(mode, count);
    const auto database = patterns::make_database(order);
    if (!database)
        fail(database.error().message);
    const auto cost = patterns::measure_cost(order);
    if (!cost)
        fail(cost.error().message);
    Bare bare(order, **database, corpus);
    for (const std::size_t bytes : kSizes)
        for (unsigned round = 0; round < kRounds; ++round) {
            const double bare_ns = nanoseconds([&] { bare.scan(bytes); });
            std::printf("%s,%zu,%zu,%.2f,%.2f,%llu,%llu\n",
                        mode == PatternMode::packet ? "packet" : "stream", count, bytes, bare_ns,
                        cost->large_gbit, static_cast<unsigned long long>(cost->database_bytes),
                        static_cast<unsigned long long>(cost->stream_bytes));
        }
}

}  // namespace

int main(int argc, char** argv) {
    const std::size_t most = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 10000;
    const std::string corpus = patterns::http_corpus(kCorpus, 2);
    std::puts("mode,patterns,bytes,bare ns,estimate,database bytes,stream bytes");
    for (const PatternMode mode : {PatternMode::packet, PatternMode::stream})
        for (const std::size_t count : kSets)
            if (count <= most)
                measure(mode, count, corpus);
    return 0;
}
