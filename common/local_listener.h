// A listening Unix SOCK_SEQPACKET socket with a file of its own; move-only. The file goes with it.
//
// A socket file that nobody has open is left over from a process that died, and is replaced.
// Whatever else stands at the path belongs to somebody, and is an error in words.
#pragma once

#include <sys/types.h>

#include <string>

#include "common/result.h"
#include "common/unique_fd.h"

namespace sluice {

struct LocalListenerSpec {
    std::string path;
    std::string what;     // "contract socket", for messages
    std::string setting;  // that names another path
    int backlog = 4;
};

class LocalListener {
  public:
    // Makes the folder, if it is missing, and the socket, with mode 0660.
    static Result<LocalListener> open(const LocalListenerSpec& spec);
    LocalListener(LocalListener&&) noexcept = default;
    LocalListener& operator=(LocalListener&&) = delete;
    ~LocalListener();

    int descriptor() const { return descriptor_.get(); }

    // The next client, which blocks nobody; none: there is none.
    UniqueFd accept() const;

  private:
    LocalListener(std::string path, UniqueFd descriptor);

    std::string path_;
    UniqueFd descriptor_;
    ino_t inode_ = 0;
};

}  // namespace sluice
