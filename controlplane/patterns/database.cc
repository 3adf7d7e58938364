#include "controlplane/patterns/database.h"

#include <map>
#include <mutex>

#include "controlplane/patterns/compiler_process.h"
#include "controlplane/patterns/database_folder.h"
#include "controlplane/patterns/order_format.h"

namespace sluice::patterns {
namespace {

using Shared = std::shared_ptr<const Database>;

// What somebody still has, and where others are kept.
class Cache {
  public:
    void set_folder(std::string folder) {
        const std::lock_guard lock(mutex_);
        folder_ = std::move(folder);
    }
    std::string folder() {
        const std::lock_guard lock(mutex_);
        return folder_;
    }

    Shared find(std::uint64_t content) {
        const std::lock_guard lock(mutex_);
        const auto found = databases_.find(content);
        return found == databases_.end() ? nullptr : found->second.lock();
    }

    Shared add(Database database) {
        auto shared = std::make_shared<const Database>(std::move(database));
        const std::lock_guard lock(mutex_);
        std::erase_if(databases_, [](const auto& entry) { return entry.second.expired(); });
        databases_[shared->content] = shared;
        return shared;
    }

  private:
    // writers: who holds the mutex
    std::mutex mutex_;
    std::string folder_;
    std::map<std::uint64_t, std::weak_ptr<const Database>> databases_;
};

Cache& cache() {
    static Cache the_one;
    return the_one;
}

}  // namespace

std::uint64_t content_hash(const DatabaseOrder& order) {
    return hash_of(write_order(order) + compiler_version());
}

Shared find_database(const DatabaseOrder& order) {
    const std::uint64_t content = content_hash(order);
    if (Shared known = cache().find(content))
        return known;
    const std::string folder = cache().folder();
    if (!folder.empty())
        if (auto kept = read_database(folder, content))
            return cache().add(std::move(*kept));
    return nullptr;
}

Result<Shared, DatabaseError> make_database(const DatabaseOrder& order) {
    if (order.patterns.empty())
        return DatabaseError{.message = "there are no patterns"};
    if (Shared known = find_database(order))
        return known;
    const auto bytes = ask_compiler(write_order(order));
    if (!bytes)
        return DatabaseError{.message = bytes.error().message};
    auto answer = read_answer(*bytes);
    if (!answer)
        return DatabaseError{.message = "the process that compiles patterns gave no answer"};
    if (const auto* error = std::get_if<DatabaseError>(&*answer)) {
        DatabaseError found = *error;
        if (found.pattern >= order.patterns.size())
            found.pattern = DatabaseError::npos;
        return found;
    }
    const std::string folder = cache().folder();
    Database database{.content = content_hash(order),
                      .bytes = std::move(*std::get_if<std::vector<std::byte>>(&*answer))};
    if (!folder.empty())
        keep_database(folder, database);
    return cache().add(std::move(database));
}

Result<Done> start_compiler() {
    return start_compiler_process();
}

void set_database_folder(std::string folder) {
    cache().set_folder(std::move(folder));
}

}  // namespace sluice::patterns
