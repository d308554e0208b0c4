-- commit.lua: end a page's lease with its one outcome: record, outlinks, counters and host state in one step.
-- Why Lua: a record without its links, or links without the record, would lose or repeat work when a worker dies.
-- A page whose content another page had before is a duplicate: that is noted, its contents (but `data`) and its links
-- are not taken.
-- A page whose text is nearly that of an earlier one is noted as near it, and loses nothing.
-- KEYS  page, `digests` hash of the content if there is one, the five `near` hashes of the similarity if there is one,
--       `parcels` streams of other shards (see post in shared/outbox.lua), then host, lists and set of `seen` of each
--       group of requests (see look_up in shared/admission.lua)
-- ARGS  token, held, id, event, rest_ms, latency_ms, outcome, record, contents, digest, similarity, spared, ip, copy,
--       handling_ms, trouble, target, loop, tallies
-- REST  as many contents, each its field and its bytes (zlib); as many tallies, each with its n; number of roots,
--       roots, messages to other shards, groups of requests
--       held: see owned in shared/leases.lua
--       latency_ms, digest (of the content), ip: '' where there is none
--       similarity: an entry of shared/similar.lua, or ''
--       spared: whose copy's links are taken too: '*' any, or an id
--       trouble: what is wrong with the host, in words, or ''
--       target: the id of the URL that this one redirects to, or ''; loop: the record to store if that leads back here
--       copy: the id of a page that names this one as its canonical, and needs no contents of its own any more, or ''
-- RETURNS OK new seen over_budget duplicate, hosts whose tail is to be packed | DONE_ALREADY duplicate | LEASE_LOST |
--         NO_CRAWL
local MAX_REDIRECTS = 20
local no = refusal()
if no then
  return { no }
end
for k = OWN_KEYS + 1, SHARDS > 1 and #KEYS or 0 do
  if string.find(KEYS[k], PREFIX .. 'parcels:', 1, true) then
    redis.call('XLEN', KEYS[k]) -- a key of another type stops the script before its first write
  end
end
local PAGE, token, id = KEYS[OWN_KEYS], ARG.token, ARG.id
local event, rest_ms, latency, outcome = ARG.event, tonumber(ARG.rest_ms), tonumber(ARG.latency_ms), ARG.outcome
local record, digest, spared, ip, copy = ARG.record, ARG.digest, ARG.spared, ARG.ip, ARG.copy

-- leads_to: whether the redirects of this shard that are known lead from one page to another
local function leads_to(from, to)
  for _ = 1, MAX_REDIRECTS do
    if from == to then
      return true
    end
    from = redis.call('HGET', PREFIX .. 'page:' .. from, 'to')
    if not from then
      return false
    end
  end
  return false
end

-- entry: by which others find this page; noted: by which they did so far, where it ended before
local entry, noted = ARG.similarity, redis.call('HGET', PAGE, 's') or ''
local was = #noted == NEAR_ENTRY and read_bands(noted)
local bands = entry ~= '' and entry ~= noted and read_bands(entry)
local near = bands and near_to(bands, entry)
local behind = OWN_KEYS + (digest ~= '' and 2 or 1) + (entry ~= '' and NEAR_BANDS or 0)
local links = look_up(groups_at(behind, REST + 2 * (ARG.contents + ARG.tallies)))

local lease = owned(token, ARG.held)
if not lease then
  local known = redis.call('HMGET', PAGE, 'token', 'd')
  if known[1] == token then
    return { 'DONE_ALREADY', known[2] and 1 or 0 }
  end
  return { 'LEASE_LOST' }
end

if ARG.target ~= '' and leads_to(ARG.target, id) then
  outcome, record = 'failed:redirect-loop', ARG.loop
end
local failed = string.sub(outcome, 1, 7) == 'failed:' or outcome == 'dropped:trap' or outcome == 'dropped:scope'
redis.call('XLEN', RECORDS) -- these too: see sound
if failed then
  redis.call('ZCARD', FAILED)
end
local sums = { ended = 1, ['outcome:' .. outcome] = 1 }
end_lease(token, lease, sums)
local k, first = OWN_KEYS + 1, nil
if digest ~= '' then
  if redis.call('HSETNX', KEYS[k], digest, id) == 0 then
    first = redis.call('HGET', KEYS[k], digest)
    if first == id then
      first = nil
    end
  end
  k = k + 1
end
k = entry ~= '' and k + NEAR_BANDS or k
redis.call('DEL', PAGE)
local at = redis.call('XADD', RECORDS, '*', 'i', id)
local page = { 'm', record, 'at', at, 'token', token }
if first then
  page[7], page[8] = 'd', first
  sums.duplicates = 1
elseif near then
  page[7], page[8] = 'n', near
  sums.near_duplicates = 1
elseif entry ~= '' then
  page[7], page[8] = 's', entry
end
if page[7] ~= 's' or bands then -- it is found no more as it was
  if was then
    remove_from_bands(was, noted)
    bands = bands and read_bands(entry)
  end
  if page[7] == 's' then
    add_to_bands(bands, entry)
  end
end
local a = REST
for _ = 1, tonumber(ARG.contents) do
  local field = ARGV[a]
  if not first or field == DATA then
    page[#page + 1], page[#page + 2] = field, ARGV[a + 1]
    if copy ~= '' and field ~= DATA then
      redis.call('HDEL', PREFIX .. 'page:' .. copy, field)
    end
  end
  a = a + 2
end
if ARG.target ~= '' then
  page[#page + 1], page[#page + 2] = 'to', ARG.target
end
redis.call('HSET', PAGE, unpack(page))
if failed then
  redis.call('ZADD', FAILED, T, id)
end

for _ = 1, tonumber(ARG.tallies) do
  sums[ARGV[a]] = (sums[ARGV[a]] or 0) + ARGV[a + 1]
  a = a + 2
end
tally(sums)
a = add_roots(a)
local new, seen, over, long = 0, 0, 0, {}
local left_out = first and spared ~= '*' and spared ~= first
post(k, a, left_out)
if not left_out then
  new, seen, over, long = accept(links)
end

local host, changed = lease.host, { 'done', 1 }
local key = host_key(host)
local h = redis.call('HMGET', key, 'queued', 'in_flight', 'due', 'asking', 'latency', 'ip', 'failing_since', 'backoff',
  'backoff_until', 'late', 'answers', 'trouble', 'done', 'errors', 'blocked',
  'own_per_host')
changed[2] = (number(h[13]) or 0) + 1
if string.sub(outcome, 1, 7) == 'failed:' then
  changed[3], changed[4] = 'errors', (number(h[14]) or 0) + 1
end
if latency then
  local old = number(h[5])
  changed[#changed + 1] = 'latency'
  changed[#changed + 1] = math.floor(old and (old * 0.6 + latency * 0.4) or latency)
end
if ip ~= '' and ip ~= h[6] then
  answered_by(host, ip)
end
local due = math.max(number(h[3]) or 0, T)
local marked = h[7] or h[8] or h[9] or h[10] or h[12] or h[15]
local plain = event == 'ok' and rest_ms == 0 and ARG.trouble == '' and not marked
if plain and due ~= number(h[3]) then -- as `rest` does
  changed[#changed + 1], changed[#changed + 2] = 'due', due
end
local answers = number(h[11]) or 0
if plain and answers < PROVEN_AFTER then -- as `apply_event` does
  local index = index_of(nil, nil, answers)
  answers = answers + 1
  changed[#changed + 1], changed[#changed + 2] = 'answers', answers
  move(host, index, index_of(nil, nil, answers))
end
redis.call('HSET', key, unpack(changed))
if plain then
  settle_as(host, h[1], h[2], due, h[4], index_of(nil, nil, answers), h[16])
else
  apply_event(host, event, true, ARG.trouble)
  if event == 'unsent' then
    give_back(host, token, lease.group)
  end
  rest(host, rest_ms)
  settle(host)
end
labour(host, tonumber(ARG.handling_ms), token)
return { 'OK', new, seen, over, left_out and 1 or 0, long }
