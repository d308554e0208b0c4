-- unquarantine.lua: let the URLs of a quarantined template be fetched again; it is not judged any more.
-- KEYS  `template` hash
-- ARGS  template
-- RETURNS OK 1, or 0 where it is not quarantined | NO_CRAWL | DELETING
local no = refusal() or deleting()
if no then
  return { no }
end
local was = redis.call('HDEL', TRAPS, ARG.template) -- first, so that it goes through when Redis is full
if was == 1 then
  redis.call('HSET', KEYS[OWN_KEYS], 'state', 'pardoned')
  add(META, 'traps_rev', 1)
end
return { 'OK', was }
