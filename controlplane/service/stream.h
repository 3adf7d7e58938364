// The way to a client that follows something (follow.h).
//
// What is sent waits in a buffer of bounded size until the client takes it; what does not fit is
// not sent. So a client that sleeps costs this buffer and nothing else, for as long as it likes.
#pragma once

#include "controlplane/service/follow.h"

namespace sluice::service {

class Stream {
  public:
    Stream() = default;
    virtual ~Stream() = default;
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;

    // False for ever once the client has gone.
    virtual bool there() const = 0;
    // How many bytes a piece may take, roughly.
    virtual std::size_t room() const = 0;
    // False: there is no room for it, or nobody.
    virtual bool send(const StreamPiece& piece) = 0;
};

}  // namespace sluice::service
