#include "controlplane/history/folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "common/unique_fd.h"

namespace sluice::history {
namespace {

Error failed(const std::string& what) {
    return {ExitStatus::os, what + ": " + std::strerror(errno)};
}

class RealFile : public File {
  public:
    RealFile(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

    Result<Done> write(std::string_view bytes) override {
        while (!bytes.empty()) {
            const ssize_t n = ::write(fd_.get(), bytes.data(), bytes.size());
            if (n < 0 && errno == EINTR)
                continue;
            if (n <= 0)
                return failed("cannot write " + path_);
            bytes.remove_prefix(static_cast<std::size_t>(n));
        }
        return Done{};
    }

    Result<Done> synchronize() override {
        return fsync(fd_.get()) == 0 ? Result<Done>(Done{}) : failed("cannot write " + path_);
    }

  private:
    UniqueFd fd_;
    std::string path_;
};

class RealFolder : public Folder {
  public:
    explicit RealFolder(std::string path) : path_(std::move(path)) {}

    const std::string& path() const override { return path_; }

    Result<std::vector<std::string>> names() override {
        std::vector<std::string> result;
        const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir(path_.c_str()), closedir);
        if (folder == nullptr)
            return errno == ENOENT ? Result<std::vector<std::string>>(result)
                                   : failed("cannot read " + path_);
        while (const dirent* entry = readdir(folder.get()))
            if (entry->d_name[0] != '.')
                result.emplace_back(entry->d_name);
        return result;
    }

    Result<std::string> read(const std::string& name, std::size_t maximum) override {
        const UniqueFd fd(open(in(name).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
        if (!fd)
            return failed("cannot read " + in(name));
        std::string text;
        for (;;) {
            constexpr std::size_t kAtOnce = 1 << 20;
            const std::size_t before = text.size();
            const std::size_t wanted = std::min(kAtOnce, maximum - before);
            text.resize(before + wanted);
            const ssize_t n = ::read(fd.get(), text.data() + before, wanted);
            text.resize(before + static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
            if (n < 0 && errno == EINTR)
                continue;
            if (n < 0)
                return failed("cannot read " + in(name));
            if (n == 0)
                return text;
        }
    }

    Result<std::size_t> size(const std::string& name) override {
        struct stat status {};
        if (lstat(in(name).c_str(), &status) != 0)
            return failed("cannot read " + in(name));
        return static_cast<std::size_t>(status.st_size);
    }

    Result<std::unique_ptr<File>> create(const std::string& name) override {
        for (std::size_t end = path_.find('/', 1);; end = path_.find('/', end + 1)) {
            const std::string part = path_.substr(0, end);
            if (mkdir(part.c_str(), 0700) != 0 && errno != EEXIST)
                return failed("cannot create the folder " + part);
            if (end == path_.npos)
                break;
        }
        constexpr int kFlags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW;
        UniqueFd fd(open(in(name).c_str(), kFlags, 0600));
        if (!fd)
            return failed("cannot create " + in(name));
        return std::unique_ptr<File>(std::make_unique<RealFile>(std::move(fd), in(name)));
    }

    Result<Done> rename(const std::string& from, const std::string& to) override {
        return ::rename(in(from).c_str(), in(to).c_str()) == 0
                   ? Result<Done>(Done{})
                   : failed("cannot rename " + in(from) + " to " + to);
    }

    Result<Done> remove(const std::string& name) override {
        return unlink(in(name).c_str()) == 0 ? Result<Done>(Done{})
                                             : failed("cannot remove " + in(name));
    }

    Result<Done> synchronize() override {
        const UniqueFd fd(open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        return fd && fsync(fd.get()) == 0 ? Result<Done>(Done{}) : failed("cannot write " + path_);
    }

  private:
    std::string in(const std::string& name) const { return path_ + "/" + name; }

    std::string path_;
};

}  // namespace

std::unique_ptr<Folder> folder_at(std::string path) {
    while (path.size() > 1 && path.ends_with('/'))
        path.pop_back();
    return std::make_unique<RealFolder>(std::move(path));
}

}  // namespace sluice::history
