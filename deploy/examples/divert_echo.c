/* Listens on a divert port and gives every packet back as it came.
 *
 *     cc -o divert_echo divert_echo.c
 *     divert_echo 2000 [SOCKET]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "sluice_divert.h"

static unsigned char message[sizeof(struct sluice_divert_header) + SLUICE_DIVERT_LONGEST];

int main(int argc, char **argv)
{
    struct sluice_divert_header header;
    struct sockaddr_un address;
    ssize_t length;
    int fd;

    if (argc < 2) {
        fprintf(stderr, "usage: divert_echo PORT [SOCKET]\n");
        return 64;
    }
    memset(&address, 0, sizeof address);
    address.sun_family = AF_UNIX;
    strncpy(address.sun_path, argc > 2 ? argv[2] : SLUICE_DIVERT_SOCKET,
            sizeof address.sun_path - 1);
    fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        perror(address.sun_path);
        return 69;
    }

    memset(&header, 0, sizeof header);
    header.magic = SLUICE_DIVERT_MAGIC;
    header.version = SLUICE_DIVERT_VERSION;
    header.type = SLUICE_DIVERT_BIND;
    header.header_length = sizeof header;
    header.port = (uint16_t)atoi(argv[1]);
    if (send(fd, &header, sizeof header, 0) != (ssize_t)sizeof header) {
        perror("send");
        return 71;
    }
    length = recv(fd, message, sizeof message, 0);
    if (length < (ssize_t)sizeof header) {
        fprintf(stderr, "no answer\n");
        return 69;
    }
    memcpy(&header, message, sizeof header);
    if (header.type != SLUICE_DIVERT_BOUND) {
        fprintf(stderr, "refused: %.*s\n", (int)(length - (ssize_t)sizeof header),
                (const char *)message + sizeof header);
        return 69;
    }
    printf("listening on divert port %u\n", (unsigned)header.port);
    fflush(stdout);

    while ((length = recv(fd, message, sizeof message, 0)) > 0) {
        memcpy(&header, message, sizeof header);
        if ((header.flags & SLUICE_DIVERT_TEE) == 0)
            send(fd, message, (size_t)length, 0);
    }
    return 0;
}
