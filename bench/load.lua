-- Load for wrk: cycles through prebuilt bodies (one JSON document a line) and prints one line
-- "RESULT {...}" at the end. Arguments after `--`: the path, the file of bodies, where to begin.
-- No response() function: with one, wrk would hand every answer to Lua and become the bottleneck;
-- wrk itself counts answers that are not 2xx or 3xx.

local requests = {}
local position = 0

function init(arguments)
  local path, file, first = arguments[1], arguments[2], tonumber(arguments[3])
  local headers = { ["Content-Type"] = "application/json" }
  for line in io.lines(file) do
    requests[#requests + 1] = wrk.format("POST", path, headers, line)
  end
  position = first % #requests
end

function request()
  position = position % #requests + 1
  return requests[position]
end

function done(summary, latency, _)
  local e = summary.errors
  io.write(string.format(
    'RESULT {"requests":%d,"durationUs":%d,"errors":%d,"p50Us":%d,"p99Us":%d}\n',
    summary.requests, summary.duration, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(99)))
end
