#include "dataplane/payload/parts.h"

#include <algorithm>

#include "dataplane/payload/http_part.h"
#include "dataplane/payload/lower_case.h"

namespace sluice::payload {
namespace {

using Bytes = std::span<const std::byte>;

constexpr Part kNo{.found = Found::no, .bytes = {}};
constexpr Part kMore{.found = Found::more, .bytes = {}};

unsigned number(Bytes bytes, std::size_t at) {
    return std::to_integer<unsigned>(bytes[at]);
}

unsigned number16(Bytes bytes, std::size_t at) {
    return number(bytes, at) << 8 | number(bytes, at + 1);
}

// ---- TLS ---------------------------------------------------------------------------------------

constexpr unsigned kHandshakeRecord = 22;
constexpr std::size_t kRecordHeader = 5;
constexpr unsigned kLongestRecord = 1u << 14;
constexpr unsigned kClientHello = 1;
constexpr unsigned kServerName = 0;  // the extension, and the kind of name

// The bytes of handshake messages, across the headers of the records that carry them.
class Handshake {
  public:
    explicit Handshake(Bytes start) : start_(start) {}

    // Not `yes`: why the last take was in vain.
    Found state() const { return state_; }

    // Without the bytes that were asked for: 0, and the state says why.
    unsigned take(std::size_t bytes) {
        unsigned value = 0;
        for (std::size_t i = 0; i < bytes; ++i) {
            if (in_record_ == 0 && !next_record())
                return 0;
            if (at_ == start_.size()) {
                state_ = Found::more;
                return 0;
            }
            value = value << 8 | number(start_, at_++);
            --in_record_;
        }
        return value;
    }

    void skip(std::size_t bytes) {
        while (bytes > 0 && state_ == Found::yes) {
            if (in_record_ == 0 && !next_record())
                return;
            const std::size_t here = std::min({bytes, in_record_, start_.size() - at_});
            if (here == 0)
                state_ = Found::more;
            at_ += here;
            in_record_ -= here;
            bytes -= here;
        }
    }

  private:
    // Empty ones, which servers take, are passed over.
    bool next_record() {
        do {
            if (!begin_record())
                return false;
        } while (in_record_ == 0);
        return true;
    }

    bool begin_record() {
        const Bytes rest = start_.subspan(at_);
        const bool wrong = (!rest.empty() && number(rest, 0) != kHandshakeRecord) ||
                           (rest.size() > 1 && number(rest, 1) != 3);
        if (wrong || rest.size() < kRecordHeader) {
            state_ = wrong ? Found::no : Found::more;
            return false;
        }
        in_record_ = number16(rest, 3);
        if (in_record_ > kLongestRecord) {
            state_ = Found::no;
            return false;
        }
        at_ += kRecordHeader;
        return true;
    }

    Bytes start_;
    std::size_t at_ = 0;
    std::size_t in_record_ = 0;
    Found state_ = Found::yes;
};

// A vector of TLS: its length stands in front of it, and it ends where another one does or before.
class Vector {
  public:
    // All of a message.
    Vector(Handshake& from, std::size_t length) : from_(from), left_(length) {}
    Vector(Vector& outer, std::size_t length_bytes)
        : from_(outer.from_), left_(outer.take(length_bytes)) {
        if (left_ > outer.left_)
            outer.broken_ = broken_ = true;
        else
            outer.left_ -= left_;
    }

    unsigned take(std::size_t bytes) {
        if (!has(bytes))
            return 0;
        left_ -= bytes;
        return from_.take(bytes);
    }
    void skip(std::size_t bytes) {
        if (!has(bytes))
            return;
        left_ -= bytes;
        from_.skip(bytes);
    }
    void skip_rest() { skip(left_); }

    std::size_t left() const { return left_; }
    bool good() const { return !broken_ && from_.state() == Found::yes; }
    Part reason() const { return broken_ || from_.state() == Found::no ? kNo : kMore; }

  private:
    // Lengths that have not come yet say nothing.
    bool has(std::size_t bytes) {
        if (good() && bytes > left_)
            broken_ = true;
        return good();
    }

    Handshake& from_;
    std::size_t left_;
    bool broken_ = false;
};

Part read_server_name(Vector& extension, PartScratch& scratch) {
    Vector names(extension, 2);
    while (names.good() && names.left() > 0) {
        const unsigned kind = names.take(1);
        Vector name(names, 2);
        if (kind != kServerName) {
            name.skip_rest();
            if (!name.good())
                return name.reason();
            continue;
        }
        if (name.left() > scratch.bytes.size())
            name.skip(name.left() - scratch.bytes.size());
        std::size_t length = 0;
        while (name.good() && name.left() > 0)
            scratch.bytes[length++] = lower_case(static_cast<std::byte>(name.take(1)));
        if (!name.good())
            return name.reason();
        return name_part(std::span(scratch.bytes).first(length));
    }
    return names.good() ? kNo : names.reason();
}

Part find_server_name(Bytes start, PartScratch& scratch) {
    Handshake handshake(start);
    const unsigned type = handshake.take(1);
    if (handshake.state() != Found::yes)
        return {.found = handshake.state(), .bytes = {}};
    if (type != kClientHello)
        return kNo;
    const unsigned length = handshake.take(3);
    Vector hello(handshake, length);
    hello.skip(2 + 32);            // version, random
    Vector(hello, 1).skip_rest();  // session
    Vector(hello, 2).skip_rest();  // ciphers
    Vector(hello, 1).skip_rest();  // compressions
    if (hello.good() && hello.left() == 0)
        return kNo;
    Vector extensions(hello, 2);
    while (extensions.good() && extensions.left() > 0) {
        const unsigned kind = extensions.take(2);
        Vector extension(extensions, 2);
        if (!extension.good())
            return extension.reason();
        if (kind == kServerName)
            return read_server_name(extension, scratch);
        extension.skip_rest();
    }
    return extensions.good() ? kNo : extensions.reason();
}

// ---- DNS ---------------------------------------------------------------------------------------

constexpr std::size_t kDnsHeader = 12;
constexpr std::size_t kQuestions = 4;  // where their number stands
constexpr unsigned kLongestLabel = 63;
constexpr std::size_t kLongestName = 255;  // with all lengths

Part find_question(Bytes start, Transport transport, PartScratch& scratch) {
    std::size_t end = start.size();
    Bytes message = start;
    if (transport == Transport::tcp) {
        if (start.size() < 2)
            return kMore;
        end = number16(start, 0);
        message = start.subspan(2);
        if (end <= kDnsHeader)
            return kNo;
    }
    if (message.size() >= kQuestions + 2 && number16(message, kQuestions) == 0)
        return kNo;
    std::size_t length = 0;
    for (std::size_t at = kDnsHeader;;) {
        if (transport == Transport::tcp && at >= end)
            return kNo;
        if (at >= message.size())
            return kMore;
        const unsigned label = number(message, at++);
        if (label == 0)
            return name_part(std::span(scratch.bytes).first(length));
        if (label > kLongestLabel || at - kDnsHeader + label + 1 > kLongestName ||
            (transport == Transport::tcp && label >= end - at))
            return kNo;
        if (label > message.size() - std::min(at, message.size()))
            return kMore;
        if (length > 0)
            scratch.bytes[length++] = std::byte{'.'};
        for (unsigned i = 0; i < label; ++i)
            scratch.bytes[length++] = lower_case(message[at++]);
    }
}

}  // namespace

Part find_part(contract::PayloadPart part, Transport transport, std::span<const std::byte> start,
               PartScratch& scratch) {
    if (start.empty())
        return kMore;
    switch (part) {
        case contract::PayloadPart::payload:
            return {.found = Found::yes, .bytes = start};
        case contract::PayloadPart::http_host:
            return transport == Transport::tcp ? find_http_host(start, scratch) : kNo;
        case contract::PayloadPart::http_uri:
            return transport == Transport::tcp ? find_http_target(start) : kNo;
        case contract::PayloadPart::tls_sni:
            return transport == Transport::tcp ? find_server_name(start, scratch) : kNo;
        case contract::PayloadPart::dns_qname:
            return find_question(start, transport, scratch);
        case contract::PayloadPart::count_:
            break;
    }
    return kNo;
}

}  // namespace sluice::payload
