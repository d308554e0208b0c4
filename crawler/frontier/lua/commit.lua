-- commit.lua: end a page's lease with its one outcome: record, state, outlinks, counters and host in one step.
-- Why Lua: a record without its links, or links without the record, would lose or repeat work when a worker dies.
-- A page whose content another page had before is a duplicate: that is noted, its contents (but `data`) and its links
-- are not taken.
-- A page whose text is nearly that of an earlier one is noted as near it, and loses nothing.
-- A visit that found nothing new brings no record: the one that is stored stays. So does a good one where `keeps` says
-- so, with the record of this visit beside it.
-- What the page names (`links`) is for `crawler check`: it is stored beside the state, and stays until a visit changes
-- it.
-- KEYS  page, `ended`, `links` if that argument is not '', `digests` hash of the content if there is one, the five
--       `near` hashes of the similarity if there is one, the same of `old_digest` and `noted`, `parcels` streams of
--       other shards (see post in shared/outbox.lua), then host, lists and set of `seen` of each group of requests (see
--       look_up in shared/admission.lua)
-- ARGS  token, held, id, field, event, rest_ms, latency_ms, outcome, state, record, keeps, contents, digest,
--       similarity, old_digest, noted, spared, ip, copy, handling_ms, trouble,
--       no_validators, loop, links, tallies
-- REST  as many contents, each its field and its bytes (zlib); as many tallies, each with its n; number of roots,
--       roots, messages to other shards, groups of requests
--       held: see owned in shared/leases.lua
--       field: the id in 8 bytes
--       state: see shared/states.lua; without marks and the id of the first page
--       record: '' where nothing new is to be stored; keeps: '1' for a visit that failed, where an earlier one did not
--       latency_ms, digest (of the content), ip: '' where there is none
--       similarity: an entry of shared/similar.lua, or ''
--       old_digest, noted: the digest and the entry by which the page is found no more, or ''
--       spared: whose copy's links are taken too: '*' any, or an id in 8 bytes
--       trouble: what is wrong with the host, in words, or ''
--       no_validators: '1' if its ETags and dates do not tell versions of a page apart, or ''
--       loop: of a redirect the record to store if its target leads back here, or ''
--       links: what the page names, packed; '-': what is stored of that is removed; '': it stays
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
local PAGE, ENDED, token, id, field = KEYS[OWN_KEYS], KEYS[OWN_KEYS + 1], ARG.token, ARG.id, ARG.field
local event, rest_ms, latency, outcome = ARG.event, tonumber(ARG.rest_ms), tonumber(ARG.latency_ms), ARG.outcome
local state, record, keeps, digest = ARG.state, ARG.record, ARG.keeps ~= '', ARG.digest
local spared, ip, copy = ARG.spared, ARG.ip, ARG.copy

-- leads_to: whether the redirects of this shard that are known lead from one page to another
local function leads_to(from, to)
  for _ = 1, MAX_REDIRECTS do
    if from == to then
      return true
    end
    local found = from and redis.call('HGET', ended_key(from), from)
    if not is_state(found) then
      return false
    end
    from = target_of(found)
  end
  return false
end

-- was: the state of the visit before; what of it cannot be read counts as absent
local was = redis.call('HGET', ENDED, field)
was = is_state(was) and was
-- entry: by which others find this page; noted: by which they did so far
local entry, noted = ARG.similarity, ARG.noted
local old_bands = noted ~= '' and read_bands(noted)
local bands = entry ~= '' and entry ~= noted and read_bands(entry)
local near = bands and near_to(bands, entry)

local lease = owned(token, ARG.held)
if not lease then
  if was and string.sub(was, STATE_TOKEN, STATE_TOKEN + 3) == string.sub(state, STATE_TOKEN, STATE_TOKEN + 3) then
    return { 'DONE_ALREADY', first_of(was) and 1 or 0 }
  end
  return { 'LEASE_LOST' }
end

if ARG.loop ~= '' and leads_to(target_of(state), field) then
  outcome, record = LOOP, ARG.loop
  state = string.sub(state, 1, STATE_OUTCOME - 1) .. string.char(LOOP_NUMBER) .. string.sub(state, STATE_OUTCOME + 1)
end
local failed = string.sub(outcome, 1, 7) == 'failed:' or outcome == 'dropped:trap' or outcome == 'dropped:scope'
redis.call('XLEN', RECORDS) -- these too: see sound
if failed then
  redis.call('ZCARD', FAILED)
end
local stays = record == '' or keeps -- the record that is stored, and by what others find the page
local stored = stays and redis.call('HGET', PAGE, 'at')
local beside = stored and record ~= ''
local k, first, is_noted = OWN_KEYS + 2, nil, false
if ARG.links ~= '' then
  redis.call('HLEN', KEYS[k]) -- as above
  k = k + 1
end
local of_digest = digest ~= '' and KEYS[k]
local has = of_digest and redis.call('HGET', of_digest, digest)
k = (of_digest and 1 or 0) + (entry ~= '' and NEAR_BANDS or 0) + k
local of_old = ARG.old_digest ~= '' and KEYS[k]
local had = of_old and redis.call('HGET', of_old, ARG.old_digest)
k = (of_old and 1 or 0) + (noted ~= '' and NEAR_BANDS or 0) + k
local links = look_up(groups_at(k, REST + 2 * (ARG.contents + ARG.tallies)))

local sums = { ended = 1, ['outcome:' .. outcome] = 1 }
end_lease(token, lease, sums)
if has and has ~= field and #has == 8 then
  first = has
elseif of_digest and not has then
  redis.call('HSET', of_digest, digest, field)
end
if had == field then
  redis.call('HDEL', of_old, ARG.old_digest)
end
if first then
  sums.duplicates = 1
elseif near then
  sums.near_duplicates = 1
else
  is_noted = entry ~= ''
end
if old_bands and not (is_noted and entry == noted) then -- it is found no more as it was
  remove_from_bands(old_bands, noted)
  bands = bands and read_bands(entry)
end
if is_noted and bands then
  add_to_bands(bands, entry)
end
if stays then
  first, is_noted = was and first_of(was), was and has_mark(was, STATE_NOTED)
end
local marks = (first and STATE_COPY or 0) + (is_noted and STATE_NOTED or 0)
redis.call('HSET', ENDED, field, marks > 0 and with_marks(state, marks, first) or state)

if ARG.links == '-' then
  redis.call('HDEL', KEYS[OWN_KEYS + 2], field)
elseif ARG.links ~= '' then
  redis.call('HSET', KEYS[OWN_KEYS + 2], field, ARG.links)
end

local a = REST
local left_out = first and not stays
if record == '' and stored and outcome ~= 'checked' then
  redis.call('HDEL', PAGE, 'f', 'fat')
elseif record == '' then
  redis.call('DEL', PAGE) -- of a dead letter that was drained, of a target that is good now
elseif beside then
  redis.call('HSET', PAGE, 'f', record, 'fat', redis.call('XADD', RECORDS, '*', 'i', id))
else
  redis.call('DEL', PAGE)
  local page = { 'm', record, 'at', redis.call('XADD', RECORDS, '*', 'i', id) }
  if near and not first then
    page[5], page[6] = 'n', near
  end
  for _ = 1, tonumber(ARG.contents) do
    local content = ARGV[a]
    if not left_out or content == DATA then
      page[#page + 1], page[#page + 2] = content, ARGV[a + 1]
      if copy ~= '' and content ~= DATA then
        redis.call('HDEL', PREFIX .. 'page:' .. copy, content)
      end
    end
    a = a + 2
  end
  redis.call('HSET', PAGE, unpack(page))
end
a = REST + 2 * tonumber(ARG.contents)
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
left_out = left_out and spared ~= '*' and spared ~= first
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
if ARG.no_validators ~= '' then
  changed[#changed + 1], changed[#changed + 2] = 'no_validators', 1
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
