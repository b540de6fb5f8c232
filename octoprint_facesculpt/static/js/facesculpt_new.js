/* The form that orders a sculpture of the selected photo. */
$(function () {
    const MIN_HEIGHT = 20;
    const MAX_HEIGHT = 400;

    function FacesculptNewViewModel(parameters) {
        const self = this;
        const shared = (self.shared = parameters[0]);
        self.photos = parameters[1];
        self.sculptures = parameters[2];
        self.printerProfiles = parameters[3];

        self.name = ko.observable("");
        self.height = ko.observable(160);
        self.style = ko.observable("bust");
        self.profile = ko.observable();
        self.profiles = ko.observableArray([]);
        /** The slicers that can be used; the choice is only shown when there is one. */
        self.engines = ko.pureComputed(() =>
            ((shared.status() || {}).slicers || []).filter((slicer) => slicer.found)
        );
        self.engine = ko.observable();
        self.sending = ko.observable(false);
        self.error = ko.observable();

        self.photo = self.photos.selected;
        self.visible = ko.pureComputed(() => !!self.photo() && self.photo().usable() && shared.mayCreate());

        /** The tallest sculpture: the printer's volume, if OctoPrint knows it. */
        self.maxHeight = ko.pureComputed(() => {
            const profile = self.printerProfiles.currentProfileData();
            const volume = profile && profile.volume && Number(ko.unwrap(profile.volume.height));
            return volume > MIN_HEIGHT ? Math.min(MAX_HEIGHT, Math.floor(volume)) : MAX_HEIGHT;
        });
        self.heightHelp = ko.pureComputed(() =>
            _.sprintf(gettext("From %(min)d to %(max)d mm, measured from the bed to the crown of the head."), {
                min: MIN_HEIGHT,
                max: self.maxHeight()
            })
        );
        self.heightInvalid = ko.pureComputed(() => {
            const height = Number(self.height());
            return !(height >= MIN_HEIGHT && height <= self.maxHeight());
        });
        self.nameInvalid = ko.pureComputed(() => !self.name().trim());
        self.canCreate = ko.pureComputed(
            () => self.visible() && !self.sending() && !self.heightInvalid() && !self.nameInvalid()
        );

        self.photo.subscribe((photo) => {
            self.error(undefined);
            // "grandma_1962.jpg" is a name somebody gave; it only has to lose its suffix and underscores.
            if (photo) self.name(photo.name().replace(/\.[A-Za-z0-9]{1,5}$/, "").replace(/_+/g, " ").trim());
        });

        self.create = () => {
            if (!self.canCreate()) return;
            self.sending(true);
            self.error(undefined);
            const slicing = {};
            if (self.profile()) slicing.profile = self.profile().key;
            if (self.engine()) slicing.engine = self.engine();
            OctoPrint.plugins.facesculpt
                .createSculpture({
                    photo: self.photo().id,
                    face: self.photos.face(),
                    name: self.name().trim(),
                    settings: {height_mm: Number(self.height()), style: self.style()},
                    slicing: slicing
                })
                .done((sculpture) => {
                    self.sculptures.put(sculpture);
                    self.photos.selected(undefined);
                    shared.announce(_.sprintf(gettext("“%(name)s” is in the making."), {name: sculpture.name}));
                    self.sculptures.focus(sculpture.id);
                })
                .fail((request) => self.error(shared.texts.ofRequest(request)))
                .always(() => self.sending(false));
        };

        self.close = () => self.photos.selected(undefined);

        self.refresh = () => {
            if (!shared.mayView()) return self.profiles([]);
            return OctoPrint.plugins.facesculpt.profiles().done((profiles) => {
                self.profiles(profiles);
                self._useDefaults();
            });
        };

        // The settings' height and profile, until the user chose others.
        self._useDefaults = () => {
            const defaults = (shared.status() || {}).defaults;
            if (!defaults || self.visible()) return;
            self.height(defaults.height_mm);
            self.profile(self.profiles().find((profile) => profile.key === defaults.profile) || self.profiles()[0]);
        };
        shared.status.subscribe(() => self._useDefaults());
        self.profileHelp = ko.pureComputed(() => (self.profile() ? shared.texts.profileHelp(self.profile()) : ""));

        shared.follow(self, {});
    }

    OCTOPRINT_VIEWMODELS.push({
        construct: FacesculptNewViewModel,
        dependencies: [
            "facesculptViewModel",
            "facesculptPhotosViewModel",
            "facesculptSculpturesViewModel",
            "printerProfilesViewModel"
        ],
        elements: ["#facesculpt_new"]
    });
});
