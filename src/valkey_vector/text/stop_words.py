"""Stop words of queries: the function words of a language, which say little about the subject of a question.

A question such as "How do I catch an exception?" consists mostly of words that any text may have. In a collection
where few texts are questions, such words are rare, and BM25 ranks rare words highest. They are left out of the query.
The stored records keep them.

The lists have articles, pronouns, auxiliary verbs, prepositions, conjunctions and question words, and nothing that may
be a subject. The long lists on the internet also have content words (``system``, ``research``), which would hide
records.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from valkey_vector.schema.full_text import ENGLISH_STOP_WORDS, FullText
from valkey_vector.text.analysis import analyzer

__all__ = ["QUERY_STOP_WORDS", "without_stop_words"]

QUERY_STOP_WORDS: dict[str, tuple[str, ...]] = {
    language: tuple(words.split())
    for language, words in {
        "arabic": """
            في من على إلى الى عن مع هذا هذه هؤلاء ذلك تلك أولئك التي الذي الذين اللذان هو هي هم هن أنا أنت نحن كان كانت
            كانوا يكون تكون ليس ليست ما ماذا متى أين كيف لماذا كم هل أي أية أيّ أو و ف ثم أم بل لا لم لن قد لقد سوف بعد
            قبل بين عند منذ حتى إذا إذ أن إن أنّ إنّ لكن لأن كما مثل به بها فيه فيها منه منها عليه عليها له لها لهم
        """,
        "catalan": """
            a al als amb aquell aquella aquelles aquells aquest aquesta aquestes aquests això allò com d de del dels des
            doncs el ell ella elles ells els em en ens entre era eren es és està estan estava et fa fins ha han havia he
            hem hi ho i jo l la les li lo m me mentre meu meva n ne ni no nosaltres o on per perquè però que què qual
            quals qualsevol quan quant quanta quantes quants qui s sense ser seu seus seva seves si sobre són t te teu
            teva també tu un una unes uns us va van vostè vosaltres
        """,
        "czech": """
            a aby ale ani až bez by byl byla byli bylo byly být co či čí do ho i já je jeho její jejich jak jaká jaké jaký
            jako jen jenž ještě ji jí jim již jsem jsi jsme jsou jste k kam kde kdo kdy když ke která které který kteří
            kolik kvůli má mají me mě mezi mi mít mně mu my na nad ne nebo než nic o od on ona oni ono po pod podle pro
            proč proto protože před při s se si tak také tam ta tato te tě ten tento ti to tohle toho tom tu ty u už v
            ve však vy z za zda ze že
        """,
        "danish": """
            af alle at blev bliver da de dem den denne der deres det dette dig din dine dit du efter eller en end er et
            for fordi fra ham han hans har havde have hen hende hendes her hos hun hvad hvem hver hvilke hvilken hvilket
            hvis hvor hvordan hvorfor hvornår i ikke ind jeg jer jeres kan kunne man med men mig min mine mit må når og
            også om op os over på samt sig sin sine sit skal skulle som så til ud under var ved vi vil ville vor vores
            være været
        """,
        "dutch": """
            aan als bij ben bent dan dat de deze der die dit door een en er had hadden heb hebben hebt heeft hem het hij
            hoe hoeveel hun ik in is je jij jou jouw jullie kan kon kunnen maar me men met mij mijn moet na naar niet nog
            of om omdat onder ons onze ook op over te tegen toen tot tussen u uit uw van vanwege voor waar waarom wanneer
            waren was wat we welk welke werd werden wie wiens wij word worden wordt zal ze zich zij zijn zo zonder zou
            zouden zullen
        """,
        "english": f"""
            {" ".join(ENGLISH_STOP_WORDS)}
            about across after against all also am among any anyone anything been before being between both can cannot
            could did do does doing done during each either every few from had has have having he her here hers herself
            him himself his how however i i'd i'll i'm i've its itself just let's me might mine more most much must
            my myself neither nor ones our ours over please s shall she should since so some
            someone something t than theirs them themselves they'd they'll they're they've those though through throughout
            too toward towards under until upon very we we'd we'll we're we've were what whatever when whenever
            where wherever whether which whichever while who whoever whom whose why within without would you you'd you'll
            you're you've your yours yourself yourselves ain't aren't can't couldn't didn't doesn't don't hadn't hasn't
            haven't he'd he'll isn't it'd it'll mightn't mustn't needn't she'd she'll shouldn't wasn't weren't won't
            wouldn't who'll who'd who've ourselves onto
        """,
        "finnish": """
            ei eivät en ennen että hän häneen hänellä hänen hänet he heidän heille heitä ja jo joka jonka jos jossa jota
            jotka jotta kanssa keitä ken kenen ketä koska kuin kuinka kuka kun me meidän meille meitä mihin mikä miksi
            millainen milloin minä minun minut minulla mistä missä mitä mitkä mutta myös ne niiden niin niitä nuo näiden
            nämä ole oli olivat olla on ovat se sekä sen siihen siinä sinä sinun sitä sitten tai te teidän teitä tuo tuon
            tuota tämä tämän tässä tätä vaan vai vaikka voi voidaan voivat
        """,
        "french": """
            a à afin alors après as au aucun aussi aux avait avant avec avez avoir avons c car ce ceci cela celle celles
            celui ces cet cette ceux chez ci comme comment d dans de depuis des donc dont du elle elles en entre es est et
            étaient étais était étant être eu eux il ils j je l la là laquelle le lequel les lesquelles lesquels leur
            leurs lors lorsque lui m ma mais me même mes moi mon n ne ni nos notre nous on ont ou où par parmi pas pendant
            peut peuvent pour pourquoi puis puisque qu quand que quel quelle quelles quels quelqu qui quoi s sa sans se
            selon sera seront ses si soit son sont sous suis sur t ta te tes toi ton tu un une vers vos votre vous y j'ai n'ai
        """,
        "german": """
            ab aber alle allem allen aller alles als also am an auch auf aus bei beim bin bis bist da dabei damit dann das
            dass daß davon dazu dein deine deinem deinen deiner dem den denen denn der deren des dessen die dies diese
            diesem diesen dieser dieses dir dich doch dort du durch ein eine einem einen einer eines er es etwa etwas euch
            euer eure für gegen hab habe haben hat hatte hatten hier hin hinter ich ihm ihn ihnen ihr ihre ihrem ihren
            ihrer ihres im in indem ins ist ja jede jedem jeden jeder jedes jene jener kann kannst können könnte man mein
            meine meinem meinen meiner mich mir mit muss müssen nach nicht noch nun nur ob oder ohne seid sein seine seinem
            seinen seiner seines seit sich sie sind so soll sollen sollte sondern sowie über um und uns unser unsere unter
            vom von vor wann war waren warum was weil welche welchem welchen welcher welches wem wen wenn wer werde werden
            weshalb wessen wie wieso wieviel will wir wird wo wobei wodurch woher wohin womit worin wovon wozu wurde
            wurden würde würden zu zum zur zwischen
        """,
        "greek": """
            αλλά αν αντί από αυτά αυτές αυτή αυτήν αυτό αυτοί αυτόν αυτός αυτού αυτούς αυτών για γιατί δε δεν εάν εγώ είμαι
            είναι είχαν είχε εκεί εκείνη εκείνο εκείνος εμείς ένα έναν ένας ενώ εσείς εσύ έχει έχουν έχω η ή ήταν θα και
            κατά κάθε κι μα με μέσα μετά μέχρι μη μην μια μία μου μας να ο οι όμως όποιος όπου όπως όταν ότι όχι πιο πόσα
            πόσες πόση πόσο πόσοι πόσος ποια ποιες ποιο ποιοι ποιον ποιος ποιου πού που πότε προς πώς πως σαν σας σε στα στη
            στην στις στο στον στους σου τα τη την της τι τις το τον του τους των
        """,
        "hindi": """
            अपना अपनी अपने अब आप आपका इन इनका इस इसका इसकी इसके इसमें इसे उन उनका उनकी उनके उन्हें उन्होंने उस उसका उसकी उसके
            उसने उसे एक एवं ऐसा ऐसे और कब कर करता करते करना करने का कि कितना कितनी कितने किन किस किसका किसकी किसके किसने किसी
            किसे की के को कोई कौन कौनसा क्या क्यों कहाँ कहां कैसा कैसी कैसे गया गई गए चाहिए जब जहाँ जहां जा जाता जाती जाते
            जिन जिस जिसका जिसकी जिसके जिसमें जिसे जो तक तथा तब तुम तो था थी थे द्वारा नहीं ने पर मुझे में मेरा मेरी मेरे मैं
            यदि यह यहाँ यहां या ये रहा रही रहे लिए व वह वहाँ वहां वाला वाली वाले वे सकता सकती सकते साथ से हम हमारा हमें ही हुआ
            हुई हुए हूँ है हैं हो होता होती होते होना होने भी
        """,
        "hungarian": """
            a ahogy aki akik akkor amely amelyek ami amíg amikor annak arra át az azért azok azon azt aztán azzal be csak de
            e egy ehhez el én ennek erre és ez ezek ezen ezért ezt ezzel fel ha hanem hány hogy hogyan hol honnan hova ide itt
            kell ki kicsoda kik kinek kit le lehet lesz ma már még meg melyik melyiket mely mennyi mert mi mihez miatt miért
            mikor milyen mint mit mivel nála ne nekem neki nem nincs ő ők oda olyan onnan ott össze pedig s se sem senki
            szerint te ti tud úgy után vagy vagyok van vannak volt voltak volna
        """,
        "indonesian": """
            ada adalah agar akan aku anda antara apa apakah apabila atau atas bagaimana bagaimanakah bagi bahwa berapa bila
            bisa bukan dalam dan dapat dari daripada dengan di dia mana hingga ia ini itu jika juga kami kamu kapan
            karena ke kemana kepada kita lah maka mengapa kenapa mereka namun oleh pada para per pun saat saja saya
            seperti serta siapa siapakah sudah supaya telah tentang terhadap tersebut tetapi tidak untuk yaitu yakni yang
        """,
        "italian": """
            a abbia abbiamo ad agli al alla alle allo anche avere aveva avevano c che chi ci ciò co coi col come con
            contro cosa così cui d da dagli dai dal dall dalla dalle dallo degli dei del dell della delle dello di dopo dove
            dov e è ed era erano essere fra gli ha hai hanno ho i il in io l la le lei li lo loro lui ma mentre mi mia mie
            mio nè né ne negli nei nel nell nella nelle nello noi non nostra nostro o od ogni per perché però più può
            possono qual quale quali quando quanta quante quanti quanto quegli quei quel quell quella quelle quello
            questa queste questi questo s sarà se si sia siamo siete sono su sua sue sugli sui
            sul sull sulla sulle sullo suo suoi t ti tra tu tua tue tuo tuoi un una uno v vi voi cos'è cos
        """,
        "norwegian": """
            alle at av blant ble bli blir både da de dem den denne der dere deres det dette dine din ditt du eller en enn er
            et ett etter for fordi fra før ha hadde ham han hans har hennes henne her hos hun hva hvem hver hvilke hvilken
            hvilket hvis hvor hvordan hvorfor i ikke inn jeg kan kunne man med meg mellom men min mine mitt mot må når og
            også om opp oss over på seg selv sin sine sitt skal skulle som så til uten ut var ved vi vil ville vår våre være
            vært hvorfra
        """,
        "polish": """
            a aby albo ale ani bez bo był była było były być by chociaż ci co czego czemu czy czyj czyja czyje czym dla do
            gdy gdzie i ich ile im ja ją jak jaka jakie jaki jako je jego jej jemu jest jestem jesteś jeśli jeżeli już każdy
            kiedy kim kogo komu kto która które którego której którą którym których który którzy lub ma mają mi mną mnie
            może można mój moja moje my na nad nam nami nas nasz nasza nasze nich nie niej niego nim nimi niż o od ona one
            oni ono on oraz po pod podczas ponieważ poza przed przez przy są się skąd ta tak także tam te tego tej ten też
            to tobie tu twoja twój twoje ty tych tym u w wam wami was wasz we więc wy z za ze żeby że
        """,
        "portuguese": """
            a à ao aos aquela aquelas aquele aqueles aquilo as às até com como contra da daquela daquele das de dela delas
            dele deles depois desde dessa desse desta deste do dos e é ela elas ele eles em entre era eram essa essas esse
            esses esta está estão estas estava este estes estou eu foi for foram há isso isto já lhe lhes mas me mesmo meu
            meus minha minhas na nas nem no nos nós nossa nossas nosso nossos num numa não o onde aonde os ou para pela pelas
            pelo pelos perante pode podem por porque porquê porém qual quais quando quanta quantas quanto quantos que quê
            quem se seja sem ser será serão seu seus si sido sob sobre sou sua suas são também te tem têm tenho ter teu tinha
            tua tu um uma umas uns você vocês vos
        """,
        "romanian": """
            a acea aceasta această aceea acei aceia acel acela acele acelea acest acesta aceste acestea acești aceștia al
            ale am ar are as aș așa asupra ați au avea avem aveți ca că când cand care cărei căror cărui câți câte
            cât cate ce cea cei cel cele celor cine cu cui cum cumva da dacă dar de decât deci deoarece despre din dintre după
            e ea ei el ele era erau este ești eu fi fie fiind fost fără iar în îi îl îmi in încât între îți își la le lor
            lui mă mai mea mei mele meu mi mie ne nici noastră noi nostru nouă nu o ori pe pentru peste poate pot prin să
            sa sale sau se si și sub sunt spre ta te ție ți tu un una unde unei unele unor unui unul va vă vom vor
            voi vostru vouă
        """,
        "russian": """
            а без более бы был была были было быть в вам вами вас ваш ваша ваше ваши во вот все всё всех вы где да даже для до
            его ее её ей ему если есть ещё еще же за зачем здесь и из или им ими их к как какая какие каким каких какое какой
            какого какую ко когда кого кому кто куда ли либо между меня мне мной мог могла могли могут может можно мой моя моё
            мы на над нам нами нас наш наша наше наши не него неё нее ней нем нём ни ним ними них но о об однако он она они
            оно от откуда перед по под после потому почему при про с сам сама себе себя со так также такой там те тем тех то
            того тоже той только том тот ту ты у уже чего чей чем чему через что чтобы чьё чья эта эти этим этих это этого
            этой этом этот эту я является являются сколько
        """,
        "spanish": """
            a al algo algún alguna algunas alguno algunos ante antes aquel aquella aquellas aquello aquellos aun aunque bajo
            cada como cómo con contra cual cuál cuales cuáles cualquier cuando cuándo cuanta cuánta cuantas cuántas cuanto
            cuánto cuantos cuántos de del desde donde dónde durante e el él ella ellas ellos en entre era eran eres es
            esa esas ese eso esos está están estaba estar estas este esta esto estos estoy fue fueron ha había habían haber
            han has hasta hay he la las le les lo los más me mediante mi mis mientras muy ni no nos nosotros nuestra
            nuestro o os otra otro para pero por porque porqué pues que qué quien quién quienes quiénes se sea según ser
            será si sí sido sin sino sobre son soy su sus también tan te tenía ti tiene tienen tras tu tú tus un una unas
            uno unos usted ustedes vosotros y ya yo puede pueden
        """,
        "swedish": """
            alla att av bland blev bli blir blivit de dem den denna deras dess dessa det detta dig din dina ditt du där då
            efter eftersom eller en er era ett från för ha hade han hans har henne hennes hon honom hos hur i icke in inom
            inte jag kan kunde man med mellan men mig min mina mitt mot mycket måste ni nu när någon något några och också
            om oss på samt sedan sig sin sina sitt ska skall skulle som så till under upp ut utan vad var vara varför vars
            varit varje vart vem vems vid vilka vilken vilket vill vår våra vårt vi är även åt över
        """,
        "turkish": """
            acaba ama ancak artık asla aslında az bana bazı belki ben benden beni benim bir biz bize bizi bizim bu buna bunda
            bundan bunlar bunu bunun çünkü da daha de defa değil diye eğer en fakat gibi göre hangi hangisi hem hep hepsi her
            hiç için idi ile ilgili ise iken ki kim kime kimi kimin kimse mı mi mu mü nasıl ne neden nerede nereden nereye
            nedir nelerdir niçin niye o olan olarak oldu olduğu olmak olup ona ondan onlar onlara onların onu onun
            oysa sadece sana sen senin seni siz size sizi sizin şey şu şuna şunu tarafından üzere var vardır ve veya ya yani
            yok kaç kadar mıdır midir mudur müdür
        """,
    }.items()
}
"""The list of each language, by the name of its Snowball stemmer. Other languages have none."""


def without_stop_words(
    words: Sequence[str], settings: FullText, own: tuple[str, ...] | None
) -> list[str]:
    """Leave the stop words out of the words of a query.

    Args:
        words: all words of the query's text, in order.
        settings: of the index.
        own: the stop words to leave out. None: the list of the index's language, or none if the index has stop words
            of its own.

    Returns:
        The remaining words; all words if only stop words would be left.
    """
    stops = _sequences(settings, own)
    longest = max(map(len, stops), default=0)
    remaining: list[str] = []
    at = 0
    while at < len(words):
        # The analyzer cuts "I'm" into two words: both together are the stop word.
        lengths = range(min(longest, len(words) - at), 0, -1)
        length = next((n for n in lengths if tuple(words[at : at + n]) in stops), 0)
        if not length:
            remaining.append(words[at])
        at += length or 1
    return remaining or list(words)


@lru_cache(maxsize=64)
def _sequences(settings: FullText, own: tuple[str, ...] | None) -> frozenset[tuple[str, ...]]:
    """Each stop word as the words that the analyzer cuts it into."""
    if own is None:
        own = () if settings.stop_words is not None else QUERY_STOP_WORDS.get(settings.language, ())
    all_words = analyzer(settings).all_words
    return frozenset(parts for word in own if (parts := tuple(all_words(word))))
