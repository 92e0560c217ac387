// A shop's session store. With LEAK=1 no session is ever forgotten.

#include <CivetServer.h>
#include <malloc.h>
#include <prometheus/collectable.h>
#include <prometheus/exposer.h>
#include <prometheus/metric_family.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

using prometheus::MetricFamily;

// prometheus-cpp brings no metrics of the process. These have the names that all of Prometheus' clients use.
class ProcessMemory : public prometheus::Collectable {
 public:
  std::vector<MetricFamily> Collect() const override {
    long size = 0, resident = 0;
    std::ifstream("/proc/self/statm") >> size >> resident;
    const auto heap = mallinfo2();
    return {gauge("process_resident_memory_bytes", "Resident memory size.", resident * sysconf(_SC_PAGESIZE)),
            gauge("process_heap_bytes", "Live blocks of malloc.", heap.uordblks + heap.hblkhd)};
  }

 private:
  static MetricFamily gauge(const char* name, const char* help, double value) {
    prometheus::ClientMetric metric;
    metric.gauge.value = value;
    return {name, help, prometheus::MetricType::Gauge, {metric}};
  }
};

class Sessions : public CivetHandler {
 public:
  Sessions(bool leaks, size_t bytes) : leaks_(leaks), bytes_(bytes) {}

  bool handleGet(CivetServer*, mg_connection* connection) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    sessions_[++visitors_] = std::vector<char>(bytes_, 1);
    if (!leaks_ && sessions_.size() > kSessionsKept) sessions_.erase(sessions_.begin());
    const auto text = "{\"sessions\":" + std::to_string(sessions_.size()) + "}";
    mg_send_http_ok(connection, "application/json", text.size());
    mg_write(connection, text.data(), text.size());
    return true;
  }

 private:
  static constexpr size_t kSessionsKept = 100;
  const bool leaks_;
  const size_t bytes_;
  std::mutex mutex_;
  int visitors_ = 0;
  std::map<int, std::vector<char>> sessions_;
};

std::string setting(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  return value ? value : otherwise;
}

int main() {
  // Before there are other threads, so that none of them takes the signal.
  sigset_t end;
  sigemptyset(&end);
  sigaddset(&end, SIGTERM);
  sigaddset(&end, SIGINT);
  pthread_sigmask(SIG_BLOCK, &end, nullptr);

  prometheus::Exposer exposer("127.0.0.1:" + setting("METRICS_PORT", "9101"), 1);
  const auto memory = std::make_shared<ProcessMemory>();
  exposer.RegisterCollectable(memory);

  Sessions sessions(setting("LEAK", "") == "1", std::stoul(setting("SESSION_BYTES", "65536")));
  CivetServer server(std::vector<std::string>{"listening_ports", "127.0.0.1:" + setting("PORT", "8080"), "num_threads", "2"});
  server.addHandler("/", sessions);
  int number;
  sigwait(&end, &number);
}
