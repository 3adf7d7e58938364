#include "controlplane/patterns/order_format.h"

#include <bit>
#include <cstring>

namespace sluice::patterns {
namespace {

template <typename T>
void put(std::string& bytes, T value) {
    bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void put_text(std::string& bytes, std::string_view text) {
    put(bytes, static_cast<std::uint32_t>(text.size()));
    bytes += text;
}

class Reader {
  public:
    explicit Reader(std::string_view bytes) : bytes_(bytes) {}

    template <typename T>
    T take() {
        T value{};
        if (const std::string_view piece = take_bytes(sizeof value); piece.size() == sizeof value)
            std::memcpy(&value, piece.data(), sizeof value);
        return value;
    }
    std::string_view take_text() { return take_bytes(take<std::uint32_t>()); }
    std::string_view take_bytes(std::size_t size) {
        if (size > bytes_.size()) {
            failed_ = true;
            return {};
        }
        const std::string_view piece = bytes_.substr(0, size);
        bytes_.remove_prefix(size);
        return piece;
    }
    std::size_t left() const { return bytes_.size(); }
    bool failed() const { return failed_; }

  private:
    std::string_view bytes_;
    bool failed_ = false;
};

enum class AnswerKind : std::uint32_t { database = 0x736c7064, error = 0x736c7065 };

}  // namespace

std::string write_order(const DatabaseOrder& order) {
    std::string bytes;
    put(bytes, order.mode);
    put(bytes, static_cast<std::uint8_t>(order.ignore_case ? 1 : 0));
    put(bytes, static_cast<std::uint32_t>(order.patterns.size()));
    for (const std::string& pattern : order.patterns)
        put_text(bytes, pattern);
    return bytes;
}

std::optional<DatabaseOrder> read_order(std::string_view bytes) {
    Reader reader(bytes);
    DatabaseOrder order;
    order.mode = reader.take<contract::PatternMode>();
    order.ignore_case = reader.take<std::uint8_t>() != 0;
    const auto count = reader.take<std::uint32_t>();
    for (std::uint32_t i = 0; i < count && !reader.failed(); ++i)
        order.patterns.emplace_back(reader.take_text());
    if (reader.failed() || reader.left() != 0)
        return std::nullopt;
    return order;
}

std::string write_subject(contract::PatternMode mode, const std::vector<std::byte>& database) {
    std::string bytes;
    put(bytes, mode);
    bytes.append(reinterpret_cast<const char*>(database.data()), database.size());
    return bytes;
}

std::optional<Subject> read_subject(std::string_view bytes) {
    Reader reader(bytes);
    Subject subject;
    subject.mode = reader.take<contract::PatternMode>();
    subject.database = reader.take_bytes(reader.left());
    if (reader.failed() || subject.database.empty())
        return std::nullopt;
    return subject;
}

std::string write_answer(const Answer& answer) {
    std::string bytes;
    if (const auto* database = std::get_if<std::vector<std::byte>>(&answer)) {
        put(bytes, AnswerKind::database);
        bytes.append(reinterpret_cast<const char*>(database->data()), database->size());
        return bytes;
    }
    const auto& error = *std::get_if<DatabaseError>(&answer);
    put(bytes, AnswerKind::error);
    put(bytes, std::uint64_t{error.pattern});
    put(bytes, std::uint64_t{error.column});
    put_text(bytes, error.message);
    return bytes;
}

std::optional<Answer> read_answer(std::string_view bytes) {
    Reader reader(bytes);
    const auto kind = reader.take<AnswerKind>();
    if (kind == AnswerKind::database && reader.left() > 0) {
        const auto* begin = reinterpret_cast<const std::byte*>(bytes.data()) + sizeof kind;
        return std::vector<std::byte>(begin, begin + reader.left());
    }
    DatabaseError error;
    error.pattern = reader.take<std::uint64_t>();
    error.column = reader.take<std::uint64_t>();
    error.message = reader.take_text();
    if (kind != AnswerKind::error || reader.failed() || reader.left() != 0)
        return std::nullopt;
    return error;
}

std::uint64_t hash_of(std::string_view bytes) {
    constexpr std::uint64_t kKey[2] = {0x0706050403020100u, 0x0f0e0d0c0b0a0908u};
    std::uint64_t v[4] = {0x736f6d6570736575u ^ kKey[0], 0x646f72616e646f6du ^ kKey[1],
                          0x6c7967656e657261u ^ kKey[0], 0x7465646279746573u ^ kKey[1]};
    const auto round = [&v] {
        v[0] += v[1];
        v[2] += v[3];
        v[1] = std::rotl(v[1], 13) ^ v[0];
        v[3] = std::rotl(v[3], 16) ^ v[2];
        v[0] = std::rotl(v[0], 32);
        v[2] += v[1];
        v[0] += v[3];
        v[1] = std::rotl(v[1], 17) ^ v[2];
        v[3] = std::rotl(v[3], 21) ^ v[0];
        v[2] = std::rotl(v[2], 32);
    };
    const auto absorb = [&](std::uint64_t word) {
        v[3] ^= word;
        round();
        round();
        v[0] ^= word;
    };
    const std::uint64_t length = std::uint64_t{bytes.size()} << 56;
    for (; bytes.size() >= 8; bytes.remove_prefix(8)) {
        std::uint64_t word = 0;
        std::memcpy(&word, bytes.data(), sizeof word);
        absorb(word);
    }
    std::uint64_t last = 0;
    std::memcpy(&last, bytes.data(), bytes.size());
    absorb(length | last);
    v[2] ^= 0xff;
    for (int i = 0; i < 4; ++i)
        round();
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

}  // namespace sluice::patterns
