// Where, in the first bytes of one side of a flow, or of a packet, is the part that a rule names?
//
//   http_host  The host that a request of HTTP/1 is for: that of its target where it has one
//              (`GET http://host/`, `CONNECT host:443`; RFC 9112, 3.2 and 3.3), else the first
//              field Host. Without user, port and one dot at the end, in lower case. An address of
//              IPv6 keeps its brackets.
//   http_uri   The target of a request of HTTP/1 as it is written: nothing is decoded.
//   tls_sni    The first host_name of a ClientHello of TLS over TCP, over as many records as it
//              takes, in lower case. With Encrypted Client Hello it is the public name.
//   dns_qname  The name of the first question of a DNS message over UDP or TCP, query or answer, in
//              lower case, with a dot between labels (and those that a label contains).
//   payload    All there is.
//
// Only the first message is looked at: later requests of a connection are not, nor are HTTP/0.9,
// HTTP/2, QUIC, and what is inside TLS. Requests that servers should refuse are read as the lenient
// ones read them: empty lines in front, several blanks, blanks in front of a colon, folded fields,
// newlines alone. A name of more bytes than PartScratch holds counts with its last ones.
//
// An answer is final: more bytes behind those that it was made of never change it. The work is one
// pass over `start`, and nothing is kept between two calls.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/contract/pattern.h"

namespace sluice::payload {

enum class Found : std::uint8_t {
    no,
    yes,
    more,  // the bytes that decide are still to come
};

enum class Transport : std::uint8_t { tcp, udp };

// For names, which are not used as they are written.
struct PartScratch {
    std::array<std::byte, 256> bytes;
};

struct Part {
    Found found = Found::no;
    std::span<const std::byte> bytes;  // in `start` or in the scratch; not empty if found
};

Part find_part(contract::PayloadPart part, Transport transport, std::span<const std::byte> start,
               PartScratch& scratch);

}  // namespace sluice::payload
