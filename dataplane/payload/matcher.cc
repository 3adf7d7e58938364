#include "dataplane/payload/matcher.h"

#include <hs/hs_runtime.h>

#include <algorithm>
#include <atomic>
#include <string>

#include "dataplane/contract/counters.h"

namespace sluice::payload {

namespace {

const char* in_words(hs_error_t error) {
    switch (error) {
        case HS_NOMEM:
            return "there is no memory for it";
        case HS_DB_VERSION_ERROR:
            return "it was compiled by another version of Hyperscan";
        case HS_DB_PLATFORM_ERROR:
            return "it was compiled for another kind of processor";
        case HS_DB_MODE_ERROR:
            return "it was compiled for another mode";
        case HS_ARCH_ERROR:
            return "this processor has no SSSE3, which Hyperscan needs";
        default:
            return "it is damaged";
    }
}

}  // namespace

void Matcher::FreeDatabase::operator()(hs_database* database) const {
    hs_free_database(database);
}

void Matcher::FreeScratch::operator()(hs_scratch* scratch) const {
    hs_free_scratch(scratch);
}

// What a match is told to.
struct Matcher::Look {
    const Matcher& matcher;
    Reader& reader;
    AskedValues asked;
    Finding finding = {};
};

Matcher::Matcher() {
    static std::atomic<std::uint64_t> last_serial = 0;
    serial_ = last_serial.fetch_add(1, std::memory_order_relaxed) + 1;
}

Matcher::~Matcher() = default;

MatcherShare::MatcherShare(const Matcher* matcher) : matcher_(matcher) {
    if (matcher_ != nullptr)
        ++matcher_->shares_;
}

MatcherShare::~MatcherShare() {
    if (matcher_ != nullptr && --matcher_->shares_ == 0)
        delete matcher_;
}

Result<MatcherShare> Matcher::create(const contract::SnapshotView& view,
                                     const contract::PatternObject& object,
                                     const Capacity& capacity) {
    auto* matcher = new Matcher;
    MatcherShare share(matcher);
    matcher->type_ = object.type;
    matcher->mode_ = object.mode;
    matcher->content_ = object.content;
    matcher->ignore_case_ = object.ignore_case != 0;
    for (const contract::PatternRecord& pattern : view.patterns(object)) {
        matcher->values_.push_back(pattern.value);
        if (object.type == contract::PatternType::names)
            matcher->names_.emplace_back(view.pattern_text(pattern));
    }
    matcher->name_set_ =
        NameSet(std::vector<std::string_view>(matcher->names_.begin(), matcher->names_.end()));
    matcher->readers_.resize(std::max(capacity.readers, 1u));
    for (Reader& reader : matcher->readers_)
        reader.hits.resize(matcher->values_.size());
    const auto refuse = [&](const std::string& why) {
        return Error{ExitStatus::unavailable, "the database of the pattern object " +
                                                  std::string(object.name) +
                                                  " cannot be used: " + why};
    };
    if (object.database_size != 0) {
        if (auto loaded = matcher->load(view.database(object), capacity); !loaded)
            return refuse(loaded.error().message);
    }
    return share;
}

Result<Done> Matcher::load(std::span<const char> serialised, const Capacity& capacity) {
    const auto refuse = [](const std::string& why) { return Error{ExitStatus::unavailable, why}; };
    hs_database* database = nullptr;
    if (const hs_error_t error =
            hs_deserialize_database(serialised.data(), serialised.size(), &database);
        error != HS_SUCCESS)
        return refuse(in_words(error));
    database_.reset(database);
    hs_database_size(database, &database_bytes_);
    const bool streams = mode_ == contract::PatternMode::stream;
    if (streams) {
        if (const hs_error_t error = hs_stream_size(database, &stream_bytes_); error != HS_SUCCESS)
            return refuse(in_words(error));
    }
    for (Reader& reader : readers_) {
        hs_scratch* scratch = nullptr;
        if (const hs_error_t error = hs_alloc_scratch(database, &scratch); error != HS_SUCCESS)
            return refuse(in_words(error));
        reader.scratch.reset(scratch);
        if (!streams)
            continue;
        // One more for packets that are looked at by themselves.
        const std::size_t fit =
            capacity.stream_memory / 4 * 3 / std::max<std::size_t>(stream_bytes_, 1);
        reader.streams = StreamMemory::create(stream_bytes_, std::min(capacity.streams, fit) + 1);
        if (!reader.streams)
            return refuse("there is no memory for its streams");
        reader.cold = std::make_unique<ColdMemory>(capacity.stream_memory / 4);
        reader.compressed.resize(stream_bytes_);
    }
    return Done{};
}

bool Matcher::fits(const contract::SnapshotView& view, const contract::PatternObject& object,
                   unsigned readers) const {
    if (object.type != type_ || object.mode != mode_ || object.content != content_ ||
        (object.ignore_case != 0) != ignore_case_ || object.pattern_count != values_.size() ||
        readers != readers_.size())
        return false;
    const auto patterns = view.patterns(object);
    for (std::size_t i = 0; i < patterns.size(); ++i)
        if (patterns[i].value != values_[i] ||
            (type_ == contract::PatternType::names && view.pattern_text(patterns[i]) != names_[i]))
            return false;
    return true;
}

int Matcher::on_match(unsigned pattern, unsigned long long, unsigned long long, unsigned,
                      void* context) {
    Look& look = *static_cast<Look*>(context);
    if (pattern >= look.matcher.values_.size())  // the database is not of these patterns
        return 0;
    contract::add(look.reader.hits[pattern], 1);
    look.finding.note(pattern, look.matcher.values_[pattern], look.asked);
    return 0;
}

Finding Matcher::look(unsigned reader, std::span<const std::byte> bytes, AskedValues asked) const {
    if (!database_ || bytes.empty())
        return {};
    if (mode_ == contract::PatternMode::stream) {
        hs_stream* stream = open_stream(reader);
        if (stream == nullptr)
            return {};
        const Finding finding = look(reader, stream, bytes, asked);
        close_stream(reader, stream);
        return finding;
    }
    Look look{.matcher = *this, .reader = readers_[reader], .asked = asked};
    hs_scan(database_.get(), reinterpret_cast<const char*>(bytes.data()),
            static_cast<unsigned>(bytes.size()), 0, look.reader.scratch.get(), on_match, &look);
    return look.finding;
}

Finding Matcher::look_for_name(unsigned reader, std::span<const std::byte> name,
                               AskedValues asked) const {
    Finding finding;
    name_set_.each_match({reinterpret_cast<const char*>(name.data()), name.size()},
                         [&](std::uint32_t pattern) {
                             contract::add(readers_[reader].hits[pattern], 1);
                             finding.note(pattern, values_[pattern], asked);
                         });
    return finding;
}

hs_stream* Matcher::open_stream(unsigned reader) const {
    if (!database_)
        return nullptr;
    const StreamMemory::Use use(*readers_[reader].streams);
    hs_stream* stream = nullptr;
    return hs_open_stream(database_.get(), 0, &stream) == HS_SUCCESS ? stream : nullptr;
}

void Matcher::close_stream(unsigned reader, hs_stream* stream) const {
    const StreamMemory::Use use(*readers_[reader].streams);
    hs_close_stream(stream, nullptr, nullptr, nullptr);
}

std::uint32_t Matcher::compress_stream(unsigned reader, hs_stream* stream) const {
    Reader& own = readers_[reader];
    std::size_t size = 0;
    if (hs_compress_stream(stream, own.compressed.data(), own.compressed.size(), &size) !=
            HS_SUCCESS ||
        size == 0)
        return ColdMemory::kNone;
    const std::uint32_t place = own.cold->put({own.compressed.data(), size});
    if (place != ColdMemory::kNone)
        close_stream(reader, stream);
    return place;
}

hs_stream* Matcher::expand_stream(unsigned reader, std::uint32_t place) const {
    Reader& own = readers_[reader];
    hs_stream* stream = open_stream(reader);
    if (stream == nullptr)
        return nullptr;
    const std::size_t size = own.cold->take(place, own.compressed);
    if (hs_reset_and_expand_stream(stream, own.compressed.data(), size, nullptr, nullptr,
                                   nullptr) == HS_SUCCESS)
        return stream;
    close_stream(reader, stream);  // cannot be: these are the bytes that were put
    return open_stream(reader);
}

void Matcher::forget_compressed(unsigned reader, std::uint32_t place) const {
    readers_[reader].cold->forget(place);
}

Finding Matcher::look(unsigned reader, hs_stream* stream, std::span<const std::byte> bytes,
                      AskedValues asked) const {
    Look look{.matcher = *this, .reader = readers_[reader], .asked = asked};
    hs_scan_stream(stream, reinterpret_cast<const char*>(bytes.data()),
                   static_cast<unsigned>(bytes.size()), 0, look.reader.scratch.get(), on_match,
                   &look);
    return look.finding;
}

std::uint64_t Matcher::hits(std::size_t pattern) const {
    std::uint64_t sum = 0;
    for (const Reader& reader : readers_)
        sum += contract::read(reader.hits[pattern]);
    return sum;
}

std::uint64_t Matcher::streams() const {
    std::uint64_t sum = 0;
    for (const Reader& reader : readers_)
        sum += reader.streams ? reader.streams->open() : 0;
    return sum;
}

std::size_t Matcher::database_bytes() const {
    return database_bytes_ + name_set_.bytes();
}

std::size_t Matcher::scratch_bytes() const {
    std::size_t sum = 0;
    for (const Reader& reader : readers_) {
        std::size_t size = 0;
        if (reader.scratch && hs_scratch_size(reader.scratch.get(), &size) == HS_SUCCESS)
            sum += size;
    }
    return sum;
}

}  // namespace sluice::payload