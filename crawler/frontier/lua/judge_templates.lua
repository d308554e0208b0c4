-- judge_templates.lua: count what the pages of some templates held, and quarantine a template whose pages hold nothing
-- new.
-- Why Lua: all workers count pages of the same templates; counting and judging are one step.
-- A template is judged after every WINDOW pages: fewer than MIN_FRESH fingerprints that it never had before, and its
-- URLs are traps from now on. Fingerprints are forgotten when there are many: such a template is fruitful.
-- KEYS  `template` hash and `prints` set of each
-- REST  of each template: template, number of fingerprints, fingerprints (one a page)
-- RETURNS OK templates that were quarantined by this call... | NO_CRAWL | DELETING | OOM
local WINDOW, MIN_FRESH, MAX_PRINTS = 100, 10, 1000
local no = refusal() or deleting() or full()
if no then
  return { no }
end
local out = { 'OK' }

local function judge(key, prints, template, fresh)
  if fresh < MIN_FRESH then
    redis.call('HSET', key, 'state', 'quarantined')
    redis.call('HSET', TRAPS, template, T)
    add(META, 'traps_rev', 1)
    redis.call('DEL', prints)
    out[#out + 1] = template
    return true
  end
  redis.call('HSET', key, 'pages', 0, 'fresh', 0)
  if redis.call('SCARD', prints) > MAX_PRINTS then
    redis.call('DEL', prints)
  end
end

local a = REST
for k = OWN_KEYS, #KEYS, 2 do
  local key, prints, template, n = KEYS[k], KEYS[k + 1], ARGV[a], tonumber(ARGV[a + 1])
  a = a + 2
  if not redis.call('HGET', key, 'state') then
    add(key, 'total', n)
    for i = a, a + n - 1 do
      local pages = add(key, 'pages', 1)
      local fresh = add(key, 'fresh', redis.call('SADD', prints, ARGV[i]))
      if pages >= WINDOW and judge(key, prints, template, fresh) then
        break
      end
    end
  end
  a = a + n
end
return out
