-- luacheck src: the Lua scripts as they run in the server. A script is joined from several files (connection/lua.py).
std = "lua51"
max_line_length = 130
globals = {"redis", "cjson", "cmsgpack", "struct", "KEYS", "ARGV"}
-- Local variables that a prelude defines for the files after it.
local shared = {
  "LARGEST", "LAST", "READ_ONLY", "add", "advance", "before", "begun", "call", "changed", "channels_of",
  "data", "digest", "expires", "field_of", "find", "finish", "forget", "gone", "index", "keep", "lineage",
  "look", "mark", "micros", "mix", "namespace_of", "namespaces", "newest", "now", "number_of", "orders_of",
  "prefix", "put", "rank_of", "remove", "saved", "seq", "sized", "state", "sum", "take", "task_field",
  "tasks_of", "touched", "try", "value_field", "whole", "writes", "written"
}
for _, name in ipairs(shared) do globals[#globals + 1] = name end
-- In a prelude they look unused.
ignore = {"211", "221", "311", "331"}
