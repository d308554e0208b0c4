"""Pages as services serve them in place of the one that was asked for, cut to what matters; and look-alikes."""

from __future__ import annotations

from typing import Final

TEXT: Final = b"<p>" + b"The quick brown fox jumps over the lazy dog. " * 100

CHALLENGES: Final[dict[str, tuple[str, bytes]]] = {
    "cloudflare": (
        "Cloudflare",
        b'<!DOCTYPE html><html lang="en-US"><head><title>Just a moment...</title></head><body><noscript>Enable'
        b" JavaScript and cookies</noscript><script>(function(){window._cf_chl_opt = {cvId: '3',cZone: 'example.com'"
        b",cType: 'managed'};var a = document.createElement('script');a.src = '/cdn-cgi/challenge-platform/h/g/"
        b"orchestrate/chl_page/v1?ray=8f2a';}());</script></body></html>",
    ),
    "cloudflare, older": (
        "Cloudflare",
        b'<html><head><title>Just a moment...</title></head><body><form class="challenge-form" id="challenge-form"'
        b' action="/a?__cf_chl_f_tk=x" method="POST"></form></body></html>',
    ),
    "datadome": (
        "DataDome",
        b'<html><head><title>example.com</title></head><body style="margin:0"><p id="cmsg">Please enable JS and disable'
        b" any ad blocker</p><script data-cfasync=\"false\">var dd={'rt':'c','host':'geo.captcha-delivery.com'}"
        b'</script><script data-cfasync="false" src="https://ct.captcha-delivery.com/c.js"></script></body></html>',
    ),
    "perimeterx": (
        "PerimeterX",
        b'<html><head><title>Access to this page has been denied</title></head><body><div id="px-captcha"></div>'
        b"<script>window._pxAppId = 'PXabc';</script></body></html>",
    ),
    "imperva": (
        "Imperva",
        b'<html style="height:100%"><head><META NAME="ROBOTS" CONTENT="NOINDEX, NOFOLLOW"></head><body><iframe'
        b' id="main-iframe" src="/_Incapsula_Resource?SWUDNSAI=31&xinfo=7-76038078-0" frameborder=0>Request'
        b" unsuccessful. Incapsula incident ID: 434000870345502677</iframe></body></html>",
    ),
    "akamai": (
        "Akamai",
        b'<html><body><div id="sec-if-cpt-container" class="sec"></div><p>Powered and protected by Akamai</html>',
    ),
    "akamai, refresh": (
        "Akamai",
        b'<html><head><meta http-equiv="refresh" content="5; URL=\'/?bm-verify=AAQ\'" /></head>',
    ),
    "aws waf": (
        "AWS WAF",
        b'<!DOCTYPE html><html><head><script type="text/javascript">window.awsWafCookieDomainList = [];'
        b'window.gokuProps = {"key":"AQID"};</script></head><body><div id="challenge-container"></div></body></html>',
    ),
    "anubis": (
        "Anubis",
        b"<!doctype html><html><head><title>Making sure you&#39;re not a bot!</title></head><body><script"
        b' id="anubis_challenge" type="application/json">{"rules":{"algorithm":"fast","difficulty":4}}</script>'
        b"<p>" + b"You are seeing this because the administrator of this website has set up Anubis. " * 18,
    ),
    "amazon": (
        "Amazon",
        b'<html><body><form method="get" action="/errors/validateCaptcha" name=""><input type=hidden></form>',
    ),
    "ddos-guard": (
        "DDoS-Guard",
        b'<html><title>DDoS-Guard</title><script src="/.well-known/ddos-guard/js-challenge/index.js"></script>',
    ),
    "sucuri": (
        "Sucuri",
        b"<html><title>You are being redirected...</title><script>var s={};sucuri_cloudproxy_js='';</script>",
    ),
    "hcaptcha alone": (
        "hCaptcha",
        b"<html><title>Human?</title><body><h1>Please prove that you are a person</h1><form method=post>"
        b'<div class="h-captcha" data-sitekey="x"></div><input type="submit"></form>'
        b'<script src="https://js.hcaptcha.com/1/api.js" async></script></body></html>',
    ),
    "recaptcha alone": (
        "reCAPTCHA",
        b'<html><body>Unusual traffic<div class=g-recaptcha></div><script src="https://www.google.com/recaptcha/api.js">'
        b"</script></body></html>",
    ),
    "turnstile alone": (
        "Turnstile",
        b"<html><body>One moment<script src='https://challenges.cloudflare.com/turnstile/v0/api.js'></script></body></html>",
    ),
}
"""Name -> who asks for proof, and the page."""

LOOK_ALIKES: Final[dict[str, bytes]] = {
    "text about captchas": b"<html><h1>hCaptcha, reCAPTCHA, Turnstile, DataDome, captcha-delivery.com, px-captcha</h1>"
    + TEXT,
    "short text about captchas": b'<html><h1>captcha</h1><p>window._cf_chl_opt = 1; id="px-captcha" captcha-delivery.',
    "escaped example": b"<pre>&lt;script src=&quot;https://ct.captcha-delivery.com/c.js&quot;&gt;&lt;/script&gt;</pre>",
    "in a comment": b'<html><!-- <script src="https://ct.captcha-delivery.com/c.js"></script> --><p>hello',
    "in a textarea": b'<textarea><script id="anubis_challenge"></script></textarea>',
    "in a script's string": b"<script>const a = '<div id=\"px-captcha\"></div>';</script><p>a shop",
    "in data": b'<script type="application/json">{"code":"window._cf_chl_opt = {};"}</script><div id=app></div>',
    "in a template": b'<template><iframe src="/_Incapsula_Resource?x"></iframe></template><p>a page',
    "a long page that shows one": b'<div id="px-captcha"></div>' + TEXT,
    "protected by cloudflare": b"<html><script>window.__CF$cv$params={r:'8f'};a.src='/cdn-cgi/challenge-platform/"
    b"scripts/jsd/main.js';</script><p>a page",
    "protected by datadome": b'<html><script src="https://js.datadome.co/tags.js"></script><p>a captcha-free page',
    "protected by imperva": b'<html><script src="/_Incapsula_Resource?SWJIYLWA=719d34d"></script><p>a page',
    "protected by aws waf": b'<html><script src="https://x.edge.sdk.awswaf.com/x/challenge.js"></script><p>a page',
    "protected by perimeterx": b"<html><script>window._pxAppId = 'PXabc';</script><p>a captcha-free page",
    "a form with recaptcha": b"<html><form><input name=mail><textarea name=text></textarea></form><script"
    b' src="https://www.google.com/recaptcha/api.js"></script></html>',
    "a login with hcaptcha": b'<html><form><input type="password" name=p></form><script src="https://js.hcaptcha.com/1/api.js">'
    b"</script>",
    "a page with turnstile": b"<html><script src='https://challenges.cloudflare.com/turnstile/v0/api.js'></script>"
    + TEXT,
    "a start page with recaptcha": b'<html><a href="/a">a</a><a href="/b">b</a><a href="/c">c</a><script'
    b' src="https://www.google.com/recaptcha/api.js"></script>',
    "a challenge of another kind": b'<form id="challenge-form" action="/join">30 days <input name=mail></form>',
    "empty": b"",
    "open to the end": b"<!-- captcha-delivery.com",
}

PARKED: Final[dict[str, bytes]] = {
    "godaddy": b'<!DOCTYPE html><html><head><script>window.onload=function(){window.location.href="/lander"}</script>'
    b"</head></html>",
    "godaddy, its lander": b'<html><head><script src="https://img1.wsimg.com/parking-lander/static/js/main.js"></script></html>',
    "sedo": b'<html><script src="//www.sedoparking.com/frmpark/example.com/x/park.js"></script></html>',
    "parkingcrew": b'<html><script src="https://d38psrni17bvxu.cloudfront.net/scripts/js3caf.js"></script></html>',
}
NOT_PARKED: Final[dict[str, bytes]] = {
    "about parking": b"<html><p>sedoparking.com and parking-lander are what you see on parked domains, /lander</html>",
    "a car park": b"<html><title>Parking lot</title><script src=/parking-lander/a.js></script>",
    "a page that goes on": b'<html><script>window.onload=function(){window.location.href="/start"}</script></html>',
    "a page with more": b'<script>init();window.onload=function(){window.location.href="/lander"}</script></html>',
    "in a comment": b'<html><!--<script src="//www.sedoparking.com/frmpark/a"></script>--><p>hello',
}
