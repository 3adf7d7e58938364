#include "controlplane/patterns/measure.h"

#include <hs.h>
#include <time.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>

#include "controlplane/patterns/corpus.h"

namespace sluice::patterns {
namespace {

constexpr std::size_t kCorpus = std::size_t{4} << 20;
constexpr std::size_t kLarge = 1460;
constexpr std::size_t kSmall = 64;
constexpr std::size_t kStreams = 256;
constexpr std::size_t kStreamBytes = 8192;  // before the next flow begins
constexpr int kPasses = 5;
constexpr double kPass_s = 0.02;  // two sizes, so many passes: 0.2 seconds
constexpr std::size_t kBetweenClocks = 16;

double processor_time_s() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

int go_on(unsigned, unsigned long long, unsigned long long, unsigned, void*) {
    return 0;
}

struct Free {
    void operator()(hs_database_t* database) const { hs_free_database(database); }
    void operator()(hs_scratch_t* scratch) const { hs_free_scratch(scratch); }
};

class Bench {
  public:
    explicit Bench(contract::PatternMode mode) : mode_(mode), corpus_(http_corpus(kCorpus)) {}
    ~Bench() {
        for (hs_stream_t* stream : streams_)
            hs_close_stream(stream, nullptr, nullptr, nullptr);
    }
    Bench(const Bench&) = delete;
    Bench& operator=(const Bench&) = delete;

    bool load(std::string_view bytes) {
        hs_database_t* database = nullptr;
        if (hs_deserialize_database(bytes.data(), bytes.size(), &database) != HS_SUCCESS)
            return false;
        database_.reset(database);
        hs_scratch_t* scratch = nullptr;
        if (hs_alloc_scratch(database, &scratch) != HS_SUCCESS)
            return false;
        scratch_.reset(scratch);
        if (mode_ == contract::PatternMode::packet)
            return true;
        for (std::size_t i = 0; i < kStreams; ++i) {
            hs_stream_t* stream = nullptr;
            if (hs_open_stream(database, 0, &stream) != HS_SUCCESS)
                return false;
            streams_.push_back(stream);
        }
        scanned_.resize(kStreams);
        return true;
    }

    PatternCost sizes() const {
        PatternCost cost;
        std::size_t size = 0;
        if (hs_database_size(database_.get(), &size) == HS_SUCCESS)
            cost.database_bytes = size;
        if (hs_scratch_size(scratch_.get(), &size) == HS_SUCCESS)
            cost.scratch_bytes = size;
        if (mode_ == contract::PatternMode::stream &&
            hs_stream_size(database_.get(), &size) == HS_SUCCESS)
            cost.stream_bytes = size;
        return cost;
    }

    // Seconds for one payload of so many bytes: the best of some passes, as others have work too.
    std::optional<double> payload_s(std::size_t bytes) {
        double best = 1e9;
        for (int pass = 0; pass < kPasses; ++pass) {
            const double begin = processor_time_s();
            double end = begin;
            std::size_t scans = 0;
            for (; end - begin < kPass_s; end = processor_time_s())
                for (std::size_t i = 0; i < kBetweenClocks; ++i, ++scans)
                    if (!scan(bytes))
                        return std::nullopt;
            best = std::min(best, (end - begin) / static_cast<double>(scans));
        }
        return best;
    }

  private:
    bool scan(std::size_t bytes) {
        if (at_ + bytes > corpus_.size())
            at_ = 0;
        const char* payload = corpus_.data() + at_;
        at_ += bytes;
        const auto length = static_cast<unsigned>(bytes);
        if (mode_ == contract::PatternMode::packet)
            return hs_scan(database_.get(), payload, length, 0, scratch_.get(), go_on, nullptr) ==
                   HS_SUCCESS;
        stream_ = (stream_ + 1) % kStreams;
        if (scanned_[stream_] >= kStreamBytes) {
            scanned_[stream_] = 0;
            hs_reset_stream(streams_[stream_], 0, nullptr, nullptr, nullptr);
        }
        scanned_[stream_] += bytes;
        return hs_scan_stream(streams_[stream_], payload, length, 0, scratch_.get(), go_on,
                              nullptr) == HS_SUCCESS;
    }

    contract::PatternMode mode_;
    std::string corpus_;
    std::size_t at_ = 0;
    std::unique_ptr<hs_database_t, Free> database_;
    std::unique_ptr<hs_scratch_t, Free> scratch_;
    std::vector<hs_stream_t*> streams_;
    std::vector<std::size_t> scanned_;  // by each stream
    std::size_t stream_ = 0;
};

}  // namespace

Answer measure(const Subject& subject) {
    Bench bench(subject.mode);
    if (!bench.load(subject.database))
        return DatabaseError{.message = "the database of the patterns cannot be loaded"};
    PatternCost cost = bench.sizes();
    const auto large = bench.payload_s(kLarge);
    const auto small = bench.payload_s(kSmall);
    if (!large || !small)
        return DatabaseError{.message = "the database of the patterns cannot be measured"};
    cost.large_gbit = static_cast<double>(kLarge) * 8 / *large * 1e-9;
    cost.small_ns = *small * 1e9;
    std::vector<std::byte> bytes(sizeof cost);
    std::memcpy(bytes.data(), &cost, sizeof cost);
    return bytes;
}

}  // namespace sluice::patterns
