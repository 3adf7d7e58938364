// A folder in memory that forgets, as a disk does when the power goes: what was written and not
// synchronized is there, partly there, or not; what was renamed and the folder not synchronized has
// happened, or not, in order. It can also end, or fail, at any step.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "controlplane/history/folder.h"

namespace sluice::history {

struct PowerCut {};

class FragileFolder : public Folder {
  public:
    // What is thrown at the step with this number, from 1; 0: never.
    unsigned cut_at = 0;
    // Every step from this one on fails; 0: none.
    unsigned fails_from = 0;
    unsigned steps = 0;

    const std::string& path() const override { return path_; }

    Result<std::vector<std::string>> names() override {
        std::vector<std::string> result;
        for (const auto& [name, file] : entries_)
            result.push_back(name);
        return result;
    }
    Result<std::string> read(const std::string& name, std::size_t maximum) override {
        const auto found = entries_.find(name);
        if (found == entries_.end())
            return missing(name);
        return found->second->bytes.substr(0, maximum);
    }
    Result<std::size_t> size(const std::string& name) override {
        const auto found = entries_.find(name);
        if (found == entries_.end())
            return missing(name);
        return found->second->bytes.size();
    }
    Result<std::unique_ptr<File>> create(const std::string& name) override {
        if (Result<Done> done = step(); !done)
            return done.error();
        const auto file = std::make_shared<Bytes>();
        pending_.push_back([name, file](Entries& entries) { entries[name] = file; });
        pending_.back()(entries_);
        return std::unique_ptr<File>(std::make_unique<OpenFile>(*this, file));
    }
    Result<Done> rename(const std::string& from, const std::string& to) override {
        if (!entries_.contains(from))
            return missing(from);
        return change([from, to](Entries& entries) {
            entries[to] = entries[from];
            entries.erase(from);
        });
    }
    Result<Done> remove(const std::string& name) override {
        if (!entries_.contains(name))
            return missing(name);
        return change([name](Entries& entries) { entries.erase(name); });
    }
    Result<Done> synchronize() override {
        if (Result<Done> done = step(); !done)
            return done;
        durable_ = entries_;
        pending_.clear();
        return Done{};
    }

    // Everything that may be on the disk if the power goes now.
    std::vector<std::unique_ptr<FragileFolder>> survivors() const {
        std::vector<std::unique_ptr<FragileFolder>> result;
        for (std::size_t happened = 0; happened <= pending_.size(); ++happened)
            for (const int part : {0, 1, 2}) {
                Entries entries = durable_;
                for (std::size_t i = 0; i < happened; ++i)
                    pending_[i](entries);
                auto folder = std::make_unique<FragileFolder>();
                for (const auto& [name, file] : entries) {
                    const std::string& bytes =
                        file->synchronized ? *file->synchronized : std::string();
                    const std::size_t more = file->bytes.size() - bytes.size();
                    folder->put(name, bytes + file->bytes.substr(bytes.size(), more * part / 2));
                }
                result.push_back(std::move(folder));
            }
        return result;
    }

    // For good.
    void put(const std::string& name, std::string bytes) {
        entries_[name] = std::make_shared<Bytes>(Bytes{bytes, bytes});
        durable_ = entries_;
    }

  private:
    struct Bytes {
        std::string bytes;
        std::optional<std::string> synchronized;
    };
    using Entries = std::map<std::string, std::shared_ptr<Bytes>>;

    class OpenFile : public File {
      public:
        OpenFile(FragileFolder& folder, std::shared_ptr<Bytes> file)
            : folder_(folder), file_(std::move(file)) {}
        Result<Done> write(std::string_view bytes) override {
            // A write may stop in the middle.
            file_->bytes += bytes.substr(0, bytes.size() / 2);
            if (Result<Done> done = folder_.step(); !done)
                return done;
            file_->bytes += bytes.substr(bytes.size() / 2);
            return Done{};
        }
        Result<Done> synchronize() override {
            if (Result<Done> done = folder_.step(); !done)
                return done;
            file_->synchronized = file_->bytes;
            return Done{};
        }

      private:
        FragileFolder& folder_;
        std::shared_ptr<Bytes> file_;
    };

    static Error missing(const std::string& name) {
        return {ExitStatus::os, "there is no " + name};
    }
    Result<Done> step() {
        ++steps;
        if (steps == cut_at)
            throw PowerCut();
        if (fails_from != 0 && steps >= fails_from)
            return Error{ExitStatus::os, "cannot write: No space left on device"};
        return Done{};
    }
    Result<Done> change(std::function<void(Entries&)> how) {
        if (Result<Done> done = step(); !done)
            return done;
        how(entries_);
        pending_.push_back(std::move(how));
        return Done{};
    }

    std::string path_ = "/history";
    Entries entries_, durable_;
    std::vector<std::function<void(Entries&)>> pending_;
};

}  // namespace sluice::history
