package clavicle.gallery

import clavicle.ui.page.Catalogue
import clavicle.ui.page.Page
import java.awt.image.BufferedImage
import java.awt.image.IndexColorModel
import java.io.File
import javax.imageio.ImageIO

/** The page of pictures that stands in the repository: some states, small, with what they say, for whoever wants to know how the app looks. */
object Book {
    private const val DENSITY = 0.75f

    private val chapters = listOf(
        "To begin" to listOf("welcome.new", "protect.passphrase", "protect.device", "words.hidden", "words.shown", "words.check", "unlock.device"),
        "Scans" to listOf(
            "home.empty", "home.list-2", "scan.camera", "pick_up.pin", "pick_up.last_try", "pick_up.done", "study.held", "study.ask_when",
            "study.fetching", "pictures.own", "report.read", "export.choose",
        ),
        "To let somebody in" to listOf(
            "share.how", "invite.shown", "invite.words", "share.verified", "share.unverified", "share.what", "share.days", "share.review",
            "share.done",
        ),
        "Who can, who did, and the end of it" to listOf("who.list", "who.active", "looked.list", "end.sure", "end.waiting", "looked.changed"),
        "When a phone is lost" to listOf("restore.words", "restore.found", "devices.this", "lost.pending", "home.list"),
        "When something does not go" to listOf("scan.denied", "study.suspended", "study.other_patient", "trouble.offline", "trouble.refused"),
        "For whoever was let in" to listOf(
            "inbox.list", "card.shown", "answer.words", "received.ready", "pictures.ward_round", "recall.replaced", "recall.known",
        ),
    )

    fun write(folder: File, pages: List<Pair<String, Page>>, catalogue: Catalogue) {
        folder.deleteRecursively()
        folder.mkdirs()
        val text = StringBuilder(
            """
            |# How it looks
            |
            |Drawn by `mobile/ci/gallery` with the screens that the Android app is made of, by Compose on a Linux machine: no telephone had a part in
            |it. The people in it do not exist, and the pictures show shapes that a program made. The words are those of `mobile/strings/en.json`.
            |Every state there is, also dark, in German, with text twice as large and from right to left: `.ci/long gallery`.
            |
            """.trimMargin(),
        )
        for ((title, names) in chapters) {
            text.append("\n## $title\n\n")
            for (name in names) {
                val page = pages.firstOrNull { it.first == name }?.second ?: error("the book shows $name, which is no state")
                Shown(page, catalogue, View.LIGHT, density = DENSITY).use { ImageIO.write(small(pixels(it.render())), "png", folder.resolve("$name.png")) }
                val says = "${catalogue.say(page.title)}. ${catalogue.say(page.text)}".replace("\"", "&quot;").filter { it != '\u2068' && it != '\u2069' }
                text.append("<img src=\"$name.png\" width=\"240\" alt=\"$says\" title=\"$name\">\n")
            }
        }
        folder.resolve("README.md").writeText(text.toString())
    }

    /** With a table of colours, where they are few enough for one. */
    private fun small(image: BufferedImage): BufferedImage {
        val colours = (0 until image.height).flatMap { y -> (0 until image.width).map { x -> image.getRGB(x, y) } }.distinct()
        if (colours.size > 256) return image
        val table = IndexColorModel(8, colours.size, colours.toIntArray(), 0, false, -1, java.awt.image.DataBuffer.TYPE_BYTE)
        return BufferedImage(image.width, image.height, BufferedImage.TYPE_BYTE_INDEXED, table).apply {
            val at = colours.withIndex().associate { it.value to it.index }
            for (y in 0 until height) for (x in 0 until width) raster.setSample(x, y, 0, at.getValue(image.getRGB(x, y)))
        }
    }
}
