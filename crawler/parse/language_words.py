"""The words by which `language` tells languages of one script apart: the most frequent ones that mean little alone."""

from __future__ import annotations

from typing import Final

LATIN: Final = {
    "af": "die van en het in is nie wat 'n om te vir op met aan hy dat sy ek ons hulle word kan ook was deur"
    " sal maar as by",
    "ca": "de la i que el en els les per del una un amb és no es al dels com són més aquest aquesta o si pot ha"
    " també s'ha seva sense fer aquests quan vostè però",
    "cs": "a se v na je že s z do o k i pro za ve by jako jsou nebo po který která které aby si tak být také"
    " jeho není byl bylo může pokud při od této podle než všechny",
    "cy": "yn y i a o ar yr mae ei am wedi gan bod fod gyda hyn oedd eu ond ni neu mewn cael hefyd wrth fel sydd dim",
    "da": "og i at er det en til på som for af de den med der ikke et kan har om fra eller når hvis skal vil du"
    " være også denne dette så ved blive bliver efter hvor mere nogle hvad disse sig kun over"
    " op ud nu frem tilbage igen",
    "de": "der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als auch es an werden"
    " aus er hat dass sie nach wird bei einer um am sind noch wie einem über einen so zum oder kann wenn"
    " durch",
    "en": "the of and to in is that for it as with be this on are by or an not from you at which have can if"
    " will was has when your may all but its their other these more they one used use there been into only",
    "eo": "la de kaj en estas al por kun ne ke kiu li ĝi oni sed aŭ ankaŭ tiu pri estis kiel el ĉi iu sur povas"
    " kiuj ĉiuj",
    "es": "de la que el en y a los se del las un por con una su para es al lo como más o pero sus le ha no si"
    " este son también está cuando muy esta sin sobre puede entre ser todos hay desde",
    "et": "ja on ei et see kui ka oma mis ning aga või siis selle oli seda kes nii veel välja kuid saab olema"
    " olla tema nende kõik pärast ainult pole mida selles",
    "eu": "eta da ez bat du dira izan edo ere den dute zen hau egin hori beste baina behar duen dago bere daiteke ditu",
    "fi": "ja on ei että se oli hän ovat myös kun mutta ole sen tai jos joka kuin niin mukaan voi ne tämä jotka"
    " vain sekä voidaan tämän olla käyttää siitä jonka kanssa",
    "fr": "de la le et les des en un du une que est pour dans qui par sur pas plus au avec ce ne il sont se"
    " cette ou aux ces être son vous comme mais peut si elle sans nous leur fait ont été",
    "ga": "an na agus ar go is a le do i sé bhí tá ag seo mar de leis bheith ach nó nach siad chun gach féin faoi aon",
    "gl": "de a e o que en do da os un para é unha as con por non se no na como máis ao dos das ou son pode"
    " este esta tamén á sobre pero está foi ser ás cando seu súa",
    "hr": "je i u na se da za su od s koji kao što nije ili a iz o može sa koja bi te biti samo ako koje do ne"
    " kada sve ali ovaj više vrlo nakon tako još",
    "hu": "a az és hogy nem is egy ez meg csak volt de kell vagy mint azt van már el ha még lehet után pedig"
    " minden ezt akkor amely ami fel lesz valamint által",
    "id": "yang dan di untuk dari dengan ini dalam tidak pada adalah akan atau dapat ke itu anda sebagai oleh"
    " juga bisa jika ada telah lebih karena harus tersebut saat bila sebuah berkas pilih setelah bahwa"
    " coba sesuai merupakan kode diri namun bagian informasi silakan",
    "is": "og að í er á sem til við um en það ekki því með fyrir af frá eru var þetta hann ég eða verið hefur"
    " ef þegar þá sér",
    "it": "di e il la che in un per è una del della con si non le da sono i gli dei al come nel più alla o se"
    " anche questo delle ma dal nella può questa essere ha su quando lo tutti",
    "lt": "ir kad į yra su iš tai kaip ne o bet nuo jis apie buvo dėl taip per tik jei bus arba gali būti savo"
    " prie šis šio kuris kurie visi labai",
    "lv": "un ir ar no uz ka kas par tas lai pēc kā nav arī bet vai tiek pie to šo tā ko bija var būt ja savu"
    " ļoti šī visi",
    "ms": "yang dan di untuk dari dengan ini dalam tidak pada adalah akan atau boleh ke itu anda sebagai oleh"
    " juga jika ada telah lebih kerana harus tersebut ialah daripada kepada serta bagi bahawa iaitu fail"
    " setiap ianya",
    "nb": "og i å er det en til på som for av de den med ikke et kan har om fra eller når hvis skal vil du være"
    " også denne dette så ved bli blir etter hvor mer noen hva disse seg bare over opp ut enn fram tilbake hver",
    "nl": "de van het een en in is dat op te zijn voor met die niet aan er om als ook bij door of dan maar naar"
    " wordt uit deze kan worden heeft over dit u nog geen hun wel hebben meer moet",
    "nn": "og i å er det ein til på som for av dei den med ikkje eit kan har om frå eller når viss skal vil du"
    " vere også denne dette så ved bli etter kor meir nokre kva desse seg berre",
    "pl": "i w na z się nie do to że jest o po od za przez dla jak oraz lub a są może tym co jako tego który"
    " ale być tylko czy które jego przy także jeśli więc pod również tej",
    "pt": "de a o que e do da em um para com não uma os no se na por mais as dos como mas ao ele das à seu sua"
    " ou quando muito nos já também só pelo pela até isso são você pode está ser este",
    "ro": "și de în a la cu să pe care din este nu un o pentru că mai sau ca se prin fi sunt au al ale acest"
    " această dacă după fost lor când va cel ce aceasta poate fără şi dvs",
    "sk": "a sa v na je že s z do o k aj pre za vo by ako sú alebo po ktorý ktorá ktoré aby si tak byť tiež"
    " jeho nie bol bolo môže ak pri od tejto podľa než všetky",
    "sl": "in je v na se za da so z ki po pa ne s od iz kot tudi ali bi do pri ni lahko o bo to kar če kako vse"
    " več med ter",
    "sq": "të e në dhe i një për me që nga së është më u si ka nuk do kjo por këtë ky kur ose mund janë ishte"
    " saj vetëm",
    "sv": "och i att det som en på är av för med den till inte om de ett har kan från eller när du ska var så"
    " vid denna detta blir efter även hur mer några vad dessa sig bara över finns måste",
    "sw": "ya na wa kwa ni katika la za kuwa hii cha au kama hiyo huo yake lakini watu pia hata baada wao zaidi"
    " sana moja",
    "tl": "ang ng sa na at ay mga ito para hindi kung may siya isang ni upang nang ko din niya kanyang lamang ka dahil",
    "tr": "ve bir bu için de da ile olarak olan daha çok gibi en ne veya o her sonra kadar ise ancak değil var"
    " olduğu göre tarafından ya mi eğer ki şekilde bunu yapmak tüm içinde dosya",
    "vi": "và của là có các cho được một với không trong những người khi đã này từ để về ra như đến cũng sẽ"
    " hoặc bạn nếu thể tập tin trên vào phải nhưng việc",
}

CYRILLIC: Final = {
    "be": "і у на не з што да як гэта для ў або па ён яны быў ад калі таксама за яго якія можа але пры толькі"
    " іх з'яўляецца",
    "bg": "на и да е в се за от с не по като са че това или при който ще до но която как бъде има може след"
    " което ви само този вашия във със",
    "kk": "және мен үшін бұл бір деп да де болып туралы бойынша ол осы емес сол бар ретінде кейін",
    "mk": "на и да се во за од е не со што како ќе или по тоа ги до кои може при но има ова кој која само си дека сте",
    "mn": "нь юм байна энэ ба бол болон болох үед дээр хэрэв гэж байгаа тухай",
    "ru": "и в не на что с по как это для из к от его или но за при все так же только если они быть может был"
    " вы также чтобы который этого того до будет является во об можно",
    "sr": "је и у на се да за су од са који као што није или а из о може бити само ако које до не када све али"
    " овај више при овде",
    "uk": "і в на не з що у та до для як за це від або його але по про є які бути ви може якщо також при тільки"
    " цей їх й щоб коли який можна було буде",
}

ARABIC: Final = {
    "ar": "في من على أن إلى التي هذا عن لا ما أو الذي هذه مع كان كل قد كما بعد ذلك إذا هو غير بين ثم تم",
    "fa": "و در به از که این است را با برای آن می یک شود های خود کند تا شما بر هم شده اگر نیز یا بود ها",
    "ur": "کے میں کی ہے کا اور سے کو نے پر ہیں اس کہ یہ بھی ایک تھا وہ ہو لیے کر جو نہیں",
}

DEVANAGARI: Final = {
    "hi": "के में की है और से का को पर हैं इस कि यह एक ने भी लिए नहीं तो था या हो जो कर वह आप",
    "mr": "आहे आणि या व च्या आहेत हे तो ते की होते त्या हा केले मध्ये असे त्यांनी नाही एक वर म्हणून किंवा आपण",
    "ne": "र को मा छ गर्न छन् यो का ले लाई भएको पनि हो एक गरेको तथा भने थियो गरी सम्म वा तपाईं",
}
