// The folder of the history, step by step, so that a test can stop at each of them or make it fail.
//
// A file is there, whole and for good, once it was written under another name, synchronized,
// renamed, and the folder was synchronized (`store.h`). Errors are sentences that name the file.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace sluice::history {

class File {
  public:
    virtual ~File() = default;
    virtual Result<Done> write(std::string_view bytes) = 0;
    virtual Result<Done> synchronize() = 0;
};

class Folder {
  public:
    virtual ~Folder() = default;
    virtual const std::string& path() const = 0;
    virtual Result<std::vector<std::string>> names() = 0;
    // At most that many bytes from the start.
    virtual Result<std::string> read(const std::string& name, std::size_t maximum) = 0;
    virtual Result<std::size_t> size(const std::string& name) = 0;
    // Empty; one that is there already is emptied.
    virtual Result<std::unique_ptr<File>> create(const std::string& name) = 0;
    virtual Result<Done> rename(const std::string& from, const std::string& to) = 0;
    virtual Result<Done> remove(const std::string& name) = 0;
    virtual Result<Done> synchronize() = 0;
};

// A folder of the file system. It is made, with mode 0700, when the first file is created; as long
// as there is none, it is empty.
std::unique_ptr<Folder> folder_at(std::string path);

}  // namespace sluice::history
