/* Divert sockets: what a program and the data plane of Sluice say to each other about packets that
 * `divert` and `tee` rules hand over. For C and C++; see sluice-divert(4).
 *
 * A program connects to the socket (Unix, SOCK_SEQPACKET; /run/sluice/divert.sock unless the
 * settings say otherwise), sends a message of type SLUICE_DIVERT_BIND that names a divert port, and
 * reads the answer: SLUICE_DIVERT_BOUND, or SLUICE_DIVERT_REFUSED and the reason as text behind the
 * header. From then on each message, either way, is one packet: this header, then the packet from
 * its IP header on, without Ethernet.
 *
 * What is sent back goes on with the first rule that has a higher number than `rule`. The simplest
 * program sends each message back as it came.
 *
 * Integers of the header are in the byte order of the machine, the packet is in that of the
 * network. All fields stand at multiples of their size, so no compiler pads them.
 */
#ifndef SLUICE_DIVERT_H
#define SLUICE_DIVERT_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SLUICE_DIVERT_SOCKET "/run/sluice/divert.sock"
#define SLUICE_DIVERT_MAGIC 0x54564453u /* "SDVT" on a little-endian machine */
#define SLUICE_DIVERT_VERSION 1

enum {
    SLUICE_DIVERT_BIND = 1,    /* to the data plane: packets of `port` are for me */
    SLUICE_DIVERT_BOUND = 2,   /* from it: they are */
    SLUICE_DIVERT_REFUSED = 3, /* from it: they are not; then it closes the connection */
    SLUICE_DIVERT_PACKET = 4   /* either way */
};

enum { SLUICE_DIVERT_IN = 1, SLUICE_DIVERT_OUT = 2 };

/* Bits of `flags`. */
enum {
    SLUICE_DIVERT_TEE = 1 /* a copy: the packet itself has gone on */
};

#define SLUICE_DIVERT_NAME_SIZE 16
#define SLUICE_DIVERT_COOKIE_SIZE 64
#define SLUICE_DIVERT_LONGEST 65535 /* bytes of a packet */

struct sluice_divert_header {
    uint32_t magic;         /* SLUICE_DIVERT_MAGIC */
    uint8_t version;        /* SLUICE_DIVERT_VERSION */
    uint8_t type;           /* SLUICE_DIVERT_BIND … */
    uint16_t header_length; /* bytes: sizeof(struct sluice_divert_header) in this version */
    uint16_t port;          /* divert port */
    uint16_t rule;          /* number of the rule that diverted; may be changed, 0: all rules */
    uint8_t direction;      /* SLUICE_DIVERT_IN, SLUICE_DIVERT_OUT */
    uint8_t flags;          /* SLUICE_DIVERT_TEE; not looked at on the way back */
    uint16_t reserved;      /* 0 */
    /* Names with a NUL behind them, empty: none. A packet that comes in needs the first, also on
     * the way back; it has no second. A packet that goes out has no first if this machine made it;
     * on the way back a gateway finds the second anew, by the packet's destination. */
    char receive_interface[SLUICE_DIVERT_NAME_SIZE];
    char transmit_interface[SLUICE_DIVERT_NAME_SIZE];
    /* The data plane's own, to be sent back as it came. All zero in a packet of the program's own
     * making, which is possible on the ports of a gateway only: on a bridge nothing else says which
     * stations a frame is from and to. */
    uint8_t cookie[SLUICE_DIVERT_COOKIE_SIZE];
};

#ifdef __cplusplus
}
static_assert(sizeof(sluice_divert_header) == 112, "no compiler pads the header");
#endif

#endif
