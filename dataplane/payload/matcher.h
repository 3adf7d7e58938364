// A pattern object made ready to look for its patterns.
//
// Immutable but for what each reader has of its own: scratch memory of Hyperscan, streams, and how
// often each pattern was found. Rulesets that have the same object share it, so a reload that
// changes only rules costs nothing here and loses no stream and no count.
//
// Threads: reader i is one thread, usually worker i; `hits` and `streams` may be asked by any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/result.h"
#include "dataplane/contract/snapshot_view.h"
#include "dataplane/payload/cold_memory.h"
#include "dataplane/payload/finding.h"
#include "dataplane/payload/name_set.h"
#include "dataplane/payload/stream_memory.h"

struct hs_database;
struct hs_scratch;
struct hs_stream;

namespace sluice::payload {

class Matcher;

// A share in a matcher, which lives as long as somebody has one. Not std::shared_ptr, whose control
// block wants type information, which this side has not.
// Threads: made, copied and given up by the thread that makes rulesets.
class MatcherShare {
  public:
    MatcherShare() = default;
    explicit MatcherShare(const Matcher* matcher);
    MatcherShare(const MatcherShare& other) : MatcherShare(other.matcher_) {}
    MatcherShare(MatcherShare&& other) noexcept
        : matcher_(std::exchange(other.matcher_, nullptr)) {}
    MatcherShare& operator=(MatcherShare other) noexcept {
        std::swap(matcher_, other.matcher_);
        return *this;
    }
    ~MatcherShare();

    explicit operator bool() const { return matcher_ != nullptr; }
    const Matcher* get() const { return matcher_; }
    const Matcher& operator*() const { return *matcher_; }
    const Matcher* operator->() const { return matcher_; }

  private:
    const Matcher* matcher_ = nullptr;
};

class Matcher {
  public:
    struct Capacity {
        unsigned readers = 1;
        std::size_t streams = 0;        // of one reader, at the same time
        std::size_t stream_memory = 0;  // bytes that they may take, of one reader
    };

    // Of an object of `view`, which need not live on. An error says why the database cannot be used
    // here: it is damaged, or for another processor or version of the library.
    static Result<MatcherShare> create(const contract::SnapshotView& view,
                                       const contract::PatternObject& object,
                                       const Capacity& capacity);
    ~Matcher();
    Matcher(const Matcher&) = delete;

    // Whether this is what `create` would make of the object.
    bool fits(const contract::SnapshotView& view, const contract::PatternObject& object,
              unsigned readers) const;

    // Another one for each matcher, and never 0.
    std::uint64_t serial() const { return serial_; }
    contract::PatternType type() const { return type_; }
    std::size_t pattern_count() const { return values_.size(); }
    std::size_t readers() const { return readers_.size(); }

    // Looks through bytes by themselves. REQUIRES: type bytes, mode packet. An object of mode
    // stream does the same with a stream of its own; if there is none, nothing is found.
    Finding look(unsigned reader, std::span<const std::byte> bytes, AskedValues asked) const;

    // REQUIRES: type names. `name` is in lower case, without a dot at its end.
    Finding look_for_name(unsigned reader, std::span<const std::byte> name,
                          AskedValues asked) const;

    // A stream to which bytes are given piece by piece. Null: no memory, or no patterns.
    // REQUIRES: mode stream.
    hs_stream* open_stream(unsigned reader) const;
    void close_stream(unsigned reader, hs_stream* stream) const;
    // A stream that is not needed for some time, as a place in less memory; it is closed.
    // ColdMemory::kNone: there is no room, and it stays as it is.
    std::uint32_t compress_stream(unsigned reader, hs_stream* stream) const;
    // The stream again, and the place is given back. Null: no memory, and it stays as it is.
    hs_stream* expand_stream(unsigned reader, std::uint32_t place) const;
    void forget_compressed(unsigned reader, std::uint32_t place) const;
    Finding look(unsigned reader, hs_stream* stream, std::span<const std::byte> bytes,
                 AskedValues asked) const;

    std::uint64_t hits(std::size_t pattern) const;
    std::uint64_t streams() const;
    std::size_t stream_bytes() const { return stream_bytes_; }
    std::size_t database_bytes() const;
    std::size_t scratch_bytes() const;

  private:
    struct FreeDatabase {
        void operator()(hs_database* database) const;
    };
    struct FreeScratch {
        void operator()(hs_scratch* scratch) const;
    };
    struct Reader {
        std::unique_ptr<hs_scratch, FreeScratch> scratch;
        std::unique_ptr<StreamMemory> streams;
        std::unique_ptr<ColdMemory> cold;  // null: no streams
        std::vector<char> compressed;      // the one that is on its way
        std::vector<std::uint64_t> hits;   // by pattern
    };
    struct Look;
    friend class MatcherShare;

    Matcher();
    Result<Done> load(std::span<const char> serialised, const Capacity& capacity);
    static int on_match(unsigned pattern, unsigned long long from, unsigned long long to,
                        unsigned flags, void* look);

    mutable std::size_t shares_ = 0;
    std::uint64_t serial_;
    contract::PatternType type_ = contract::PatternType::bytes;
    contract::PatternMode mode_ = contract::PatternMode::packet;
    std::uint64_t content_ = 0;
    bool ignore_case_ = false;
    std::vector<std::uint32_t> values_;  // by pattern
    NameSet name_set_;
    std::vector<std::string> names_;                       // texts; type names
    std::unique_ptr<hs_database, FreeDatabase> database_;  // null: there are no patterns
    std::size_t database_bytes_ = 0;
    std::size_t stream_bytes_ = 0;
    mutable std::vector<Reader> readers_;
};

}  // namespace sluice::payload
