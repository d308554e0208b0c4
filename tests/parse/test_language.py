"""The language of a text is found where it is clear, and nothing is said where it is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.fetch.fetcher import Headers, Response
from crawler.parse.extract import ExtractOptions, Extractor
from crawler.parse.language import language_of
from crawler.parse.language_words import ARABIC, CYRILLIC, DEVANAGARI, LATIN

# Article 1 of the Universal Declaration of Human Rights.
RIGHTS = {
    "ar": "يولد جميع الناس أحرارًا متساوين في الكرامة والحقوق. وقد وهبوا عقلاً وضميرًا وعليهم أن يعامل بعضهم"
    " بعضًا بروح الإخاء.",
    "bg": "Всички хора се раждат свободни и равни по достойнство и права. Те са надарени с разум и съвест и"
    " следва да се отнасят помежду си в дух на братство.",
    "cs": "Všichni lidé rodí se svobodní a sobě rovní co do důstojnosti a práv. Jsou nadáni rozumem a svědomím"
    " a mají spolu jednat v duchu bratrství.",
    "da": "Det er også noget, som de bliver nødt til efter loven: alle mennesker er født frie og lige i"
    " værdighed og rettigheder. De er udstyret med fornuft og samvittighed, og de bør handle mod hverandre"
    " i en broderskabets ånd.",
    "de": "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft und Gewissen"
    " begabt und sollen einander im Geiste der Brüderlichkeit begegnen.",
    "el": "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα. Είναι"
    " προικισμένοι με λογική και συνείδηση, και οφείλουν να συμπεριφέρονται μεταξύ τους με πνεύμα"
    " αδελφοσύνης.",
    "en": "All human beings are born free and equal in dignity and rights. They are endowed with reason and"
    " conscience and should act towards one another in a spirit of brotherhood.",
    "es": "Todos los seres humanos nacen libres e iguales en dignidad y derechos y, dotados como están de razón"
    " y conciencia, deben comportarse fraternalmente los unos con los otros.",
    "fi": "Kaikki ihmiset syntyvät vapaina ja tasavertaisina arvoltaan ja oikeuksiltaan. Heille on annettu"
    " järki ja omatunto, ja heidän on toimittava toisiaan kohtaan veljeyden hengessä. Tämä on totta, kun"
    " se on niin.",
    "fr": "Tous les êtres humains naissent libres et égaux en dignité et en droits. Ils sont doués de raison et"
    " de conscience et doivent agir les uns envers les autres dans un esprit de fraternité.",
    "he": "כל בני האדם נולדו בני חורין ושווים בערכם ובזכויותיהם. כולם חוננו בתבונה ובמצפון, לפיכך חובה עליהם"
    " לנהוג איש ברעהו.",
    "hi": "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है। उन्हें"
    " बुद्धि और अन्तरात्मा की देन प्राप्त है और परस्पर उन्हें भाईचारे के भाव से बर्ताव करना चाहिए।",
    "hu": "Minden emberi lény szabadon születik és egyenlő méltósága és joga van. Az emberek, ésszel és"
    " lelkiismerettel bírván, egymással szemben testvéri szellemben kell hogy viseltessenek.",
    "it": "Tutti gli esseri umani nascono liberi ed eguali in dignità e diritti. Essi sono dotati di ragione e"
    " di coscienza e devono agire gli uni verso gli altri in spirito di fratellanza.",
    "ja": "すべての人間は、生れながらにして自由であり、かつ、尊厳と権利とについて平等である。",
    "ko": "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.",
    "nl": "Alle mensen worden vrij en gelijk in waardigheid en rechten geboren. Zij zijn begiftigd met verstand"
    " en geweten, en behoren zich jegens elkander in een geest van broederschap te gedragen.",
    "pl": "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw. Są oni obdarzeni"
    " rozumem i sumieniem i powinni postępować wobec innych w duchu braterstwa.",
    "pt": "Todos os seres humanos nascem livres e iguais em dignidade e em direitos. Dotados de razão e de"
    " consciência, devem agir uns para com os outros em espírito de fraternidade.",
    "ru": "Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом и"
    " совестью и должны поступать в отношении друг друга в духе братства. Это так же верно и для вас.",
    "sv": "Alla människor är födda fria och lika i värde och rättigheter. De har utrustats med förnuft och"
    " samvete och bör handla gentemot varandra i en anda av gemenskap.",
    "th": "มนุษย์ทั้งปวงเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ",
    "tr": "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar. Akıl ve vicdana sahiptirler ve"
    " birbirlerine karşı kardeşlik zihniyeti ile hareket etmelidirler. Bu her insan için böyledir.",
    "uk": "Всі люди народжуються вільними і рівними у своїй гідності та правах. Вони наділені розумом і совістю"
    " і повинні діяти у відношенні один до одного в дусі братерства.",
    "vi": "Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền. Mọi con người đều được"
    " tạo hoá ban cho lý trí và lương tâm và cần phải đối xử với nhau trong tình anh em.",
    "zh": "人人生而自由,在尊严和权利上一律平等。他们赋有理性和良心,并应以兄弟关系的精神相对待。",
}


@pytest.mark.parametrize("language", RIGHTS)
def test_each_language(language: str) -> None:
    assert language_of(RIGHTS[language]) == language


@pytest.mark.parametrize("table", [LATIN, CYRILLIC, ARABIC, DEVANAGARI])
def test_words_of_each_language_are_its_own(table: dict[str, str]) -> None:
    """All the words of a language, each once, are that language, or one so near that nothing is said."""
    found = {language: language_of(words) for language, words in table.items()}
    assert {language: tag for language, tag in found.items() if tag not in (language, None)} == {}
    assert sum(tag is None for tag in found.values()) <= 3


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Home",
        "Contact Login Register Search",
        "print(x) for x in range(10): return None",
        "1234567890 " * 50,
        "Alpha Beta Gamma Delta Epsilon Zeta Eta Theta Iota Kappa Lambda",
        "https://a.example/the/of/and/to/in/is/that/for " * 20,
        "\0\ufffd" * 100,
    ],
)
def test_where_it_is_not_clear_nothing_is_said(text: str) -> None:
    assert language_of(text) is None


def test_names_and_commands_do_not_hide_a_language_of_another_script() -> None:
    command = "sudo apt-get install --yes linux-image-amd64 firmware-linux "
    assert language_of((RIGHTS["ru"] + command) * 3) == "ru"
    assert language_of((RIGHTS["ja"] + "Debian GNU Linux ") * 3) == "ja"


@given(st.text())
def test_any_text_has_a_tag_or_none(text: str) -> None:
    tag = language_of(text)
    assert tag is None or tag.isalpha()


def lang(body: str, content_type: str, want: str = "text") -> str | None:
    extractor = Extractor(ExtractOptions(frozenset(want.split()), "test"))
    headers = Headers([("Content-Type", content_type)])
    return extractor.extract(Response("http://a/", 200, headers, body.encode())).lang


def test_what_a_page_declares_comes_first_and_no_text_has_no_language() -> None:
    german = RIGHTS["de"]
    assert lang(f"<html lang='fr-CA'><p>{german}", "text/html") == "fr-CA"
    assert lang(f"<html lang=''><p>{german}", "text/html; charset=utf-8") == "de"
    assert lang(german, "text/plain; charset=utf-8") == "de"
    assert lang(f'{{"text": "{german}"}}', "application/json") is None
    assert lang(f"<p>{german}", "text/html; charset=utf-8", want="") is None
